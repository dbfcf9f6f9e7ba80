"""Our rankers on the rows of `bench.ctr.frappe_rows`, with the settings and the clock of the peers beside this file.

    python bench/peers/tastemaker_ctr.py --rows DIR --model DeepFM              # to the end: test AUC and log loss of the best epoch
    python bench/peers/tastemaker_ctr.py --rows DIR --model DeepFM --steps 60   # speed alone

The same BARS settings: batch, vectors, perceptron, batch norm, dropout, the L2 on whole tables, the rate divided by ten where validation does not
rise, and patience. What differs: products in bfloat16 where the processor has them (`--precision float32` for the peers' way), first vectors of
deviation .01, no clipping unless `--clip` asks for it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

import ctr_measure as ctr
import measure

NAMES = {"LR": "lr", "FM": "fm", "AFM": "afm", "NFM": "nfm", "DNN": "dnn", "DeepFM": "deepfm", "DCN": "dcn", "DCNv2": "dcnv2"}
NAMES |= {"FFM": "ffm", "WideDeep": "wide_deep", "xDeepFM": "xdeepfm", "AutoInt": "autoint", "FinalMLP": "finalmlp"}


def settings(model: str, given: dict[str, Any], d: int) -> dict[str, Any]:
    """BARS' settings under the names of our configs."""
    if model == "LR":
        return {}
    own: dict[str, Any] = {"dim": d}
    own |= {name: given[name] for name in ("hidden", "dropout", "batch_norm") if name in given}
    if model in ("DCN", "DCNv2"):
        own["layers"] = given["cross_layers"]
    if model == "xDeepFM":
        own["maps"] = given["cin"]
    if model == "AFM":
        own |= {"attention": given["attention_dim"], "dropout": given["attention_dropout"][0]}
    if model == "AutoInt":
        size = given["attention_dim"] // given["heads"]
        own |= {"layers": given["attention_layers"], "heads": given["heads"], "size": size, "scaled": True, "layer_norm": True}
    if model == "FinalMLP":
        own |= {"second_hidden": given["hidden2"], "heads": given["heads"], "gate_hidden": given["gate"]}
        own |= {"first_context": ["user"], "second_context": ["item"]}
    return own


def extend(parser: Any) -> None:
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--clip", type=float, help="largest norm of the gradient, 10 in FuxiCTR; default: no clipping")


def main() -> None:
    arguments = ctr.parse(__doc__, tuple(NAMES), extend)
    rows, clock = ctr.load(arguments.rows), ctr.Clock(arguments.warmup_steps, arguments.steps)
    with measure.quiet():
        started, more = train(arguments, rows, clock)
    ctr.report("Tastemaker", "tastemaker", arguments, rows, clock, started, **more)


def train(arguments: Any, rows: ctr.Rows, clock: ctr.Clock) -> tuple[float, dict[str, Any]]:
    """When training began, and what came of it."""
    import numpy as np
    import torch

    from tastemaker.data.features.encoded import Features
    from tastemaker.data.schema import FieldSchema, RowSchema
    from tastemaker.resolve import ranker_class
    from tastemaker.train.rows import RowLoader, RowTrainConfig, predict, train_rows

    class Clocked(RowLoader):
        """The clock runs while a step has the batch."""

        def epoch(self, number: int, seed: int, batch_targets: int) -> Iterator[Any]:
            clock.pause()
            for batch in super().epoch(number, seed, batch_targets):
                clock.begin()
                yield batch
                clock.end(len(batch))

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    schema = RowSchema(tuple(FieldSchema(name, "category", size) for name, size in zip(ctr.FIELDS, rows.sizes, strict=True)))
    # their last code is what train does not know, our 1; codes of train move up by one
    parts = {}
    for part, codes in rows.codes.items():
        own = np.where(codes == np.array(rows.sizes) - 1, 1, codes + 1).astype(np.int32)
        parts[part] = Features(own, np.zeros((len(own), 0), np.float32))
    kind = ranker_class(NAMES[arguments.model])
    ranker = kind(kind.Config.parse(settings(arguments.model, arguments.settings, arguments.d), "model"), schema)
    config = RowTrainConfig.parse(
        {
            "learning_rate": arguments.lr,
            "batch_rows": arguments.batch,
            "epochs": arguments.epochs,
            "patience": arguments.patience,
            "schedule": "plateau",
            "embedding_l2": arguments.settings["regularizer"],
            "precision": arguments.precision,
            "clip": arguments.clip,
            "seed": arguments.seed,
            "threads": arguments.threads,
        },
        "train",
    )
    more: dict[str, Any] = {
        "precision": arguments.precision,
        "clip": arguments.clip,
        "parameters": sum(weight.numel() for weight in ranker.parameters()),
    }
    started = time.perf_counter()
    labels = rows.labels["train"].astype(np.float32)[:, None]

    def validate(ranker: Any) -> float:
        value = ctr.auc(rows.labels["validation"], predict(ranker, parts["validation"])[:, 0])
        clock.record(value, arguments.lr)
        return value

    loader = Clocked(parts["train"], labels)
    try:
        for _ in train_rows(ranker, loader, config, validate=None if arguments.steps else validate):
            pass
    except ctr.EnoughError:
        return started, more
    said = 1 / (1 + np.exp(-predict(ranker, parts["test"])[:, 0].astype(np.float64)))
    more |= {
        "test_auc": round(ctr.auc(rows.labels["test"], said), 6),
        "test_logloss": round(ctr.logloss(rows.labels["test"], said), 6),
    }
    return started, more


if __name__ == "__main__":
    main()
