"""Models of FuxiCTR that rank by features, on the rows of `bench.ctr.frappe_rows`, at the settings BARS has for Frappe_x1.

    python bench/peers/fuxictr_ctr.py --rows DIR --model DeepFM              # to the end: test AUC and log loss of the best epoch
    python bench/peers/fuxictr_ctr.py --rows DIR --model DeepFM --steps 60   # speed alone

The wheel of FuxiCTR 2.3.10 has layers, training loop and loaders but not the models: `--zoo` is the folder `model_zoo` of its repository (Apache-2.0),
by default the one inside the virtual environment. Codes are made here as its own tokenizer makes them (0 padding, last unknown), so that
neither polars nor Ray has work to do; its npz loader, without workers, makes the batches.

What it does that bears on a comparison:
- `embedding_regularizer` λ adds λ / 2 · ‖W‖² of *whole* tables (the linear part's too) to every step's loss, so every row of every table moves at
  every step. It is off by default and 0.05 to 0.1 in BARS' best settings. The penalty does not depend on the batch: four times smaller batches
  are four times as many pulls an epoch.
- Whenever an epoch brings no better validation AUC, the learning rate is divided by ten, down to 1e-6 (`reduce_lr_on_plateau`, on by default), and
  after `patience` such epochs in a row training ends. In BARS' logs that first division is worth .002 to .004 AUC; a run without one is another run.
- The checkpoint with the best validation AUC is loaded again before testing. The last, smaller batch of an epoch is trained on.
- Gradients are clipped to norm 10. Embeddings begin at N(0, 1e-4), dense layers at Xavier normal. `batch_norm` stands before the activation.
- Sigmoid inside the model, then `binary_cross_entropy` on probabilities: float32 saturates, which costs log loss, not AUC.
- One look-up a field and a dense Adam over all tables.
- Each row is collated by itself: its loader costs as much again as a step of a small model. `samples_per_cpu_s` leaves that out,
  `samples_per_cpu_s_with_batches` does not.
- `import fuxictr.pytorch.dataloaders` imports Ray; it breaks with polars 2.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import tempfile
import time
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import ctr_measure as ctr
import measure

MODELS = tuple(ctr.BARS)


def constructor(zoo: Path, name: str) -> type:
    """The class of a model in a checkout's folder `model_zoo`."""
    for path in (zoo / name / "src" / f"{name}.py", zoo / name / f"{name}_torch" / "src" / f"{name}.py"):
        if path.is_file():
            spec = importlib.util.spec_from_file_location(f"model_zoo_{name}", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return getattr(module, name)
    raise SystemExit(
        f"no {name} in {zoo}. hint: --zoo names the folder model_zoo of FuxiCTR's repository at the installed version"
    )


def settings(model: str, given: dict[str, Any]) -> dict[str, Any]:
    """BARS' settings under the names of FuxiCTR's constructors."""
    if model in ("LR", "FM", "FFM"):
        return {"regularizer": given["regularizer"]}
    common = {"embedding_regularizer": given["regularizer"]}
    if model == "AFM":
        return common | {"attention_dim": given["attention_dim"], "attention_dropout": given["attention_dropout"]}
    if model == "FinalMLP":
        towers = {
            f"mlp{tower}_{name}": value
            for tower, hidden in ((1, given["hidden"]), (2, given["hidden2"]))
            for name, value in (("hidden_units", hidden), ("dropout", given["dropout"]), ("batch_norm", given["batch_norm"]))
        }
        gates = {"use_fs": True, "fs_hidden_units": given["gate"], "fs1_context": ["user"], "fs2_context": ["item"]}
        return common | towers | gates | {"num_heads": given["heads"]}
    prefix = {"DCNv2": "parallel_dnn_", "DCN": "dnn_", "xDeepFM": "dnn_", "AutoInt": "dnn_"}.get(model, "")
    common |= {f"{prefix}hidden_units": given["hidden"], "net_dropout": given["dropout"], "batch_norm": given["batch_norm"]}
    if model in ("DCN", "DCNv2"):
        common["num_cross_layers"] = given["cross_layers"]
    if model == "xDeepFM":
        common["cin_hidden_units"] = given["cin"]
    if model == "AutoInt":
        common |= {
            "attention_layers": given["attention_layers"],
            "num_heads": given["heads"],
            "attention_dim": given["attention_dim"],
        }
        common |= {"use_residual": True, "use_scale": True, "layer_norm": True, "use_wide": False}
    return common


def main() -> None:
    arguments = ctr.parse(
        __doc__,
        MODELS,
        lambda parser: parser.add_argument(
            "--zoo", type=Path, default=Path(sys.prefix) / "model_zoo", help="FuxiCTR's model_zoo"
        ),
    )
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)
    rows, clock = ctr.load(arguments.rows), ctr.Clock(arguments.warmup_steps, arguments.steps)
    with measure.quiet(), tempfile.TemporaryDirectory() as folder:
        started, more = train(arguments, rows, clock, Path(folder))
    ctr.report("FuxiCTR", "fuxictr", arguments, rows, clock, started, **more)


def train(arguments: Any, rows: ctr.Rows, clock: ctr.Clock, folder: Path) -> tuple[float, dict[str, Any]]:
    """When training began, and what came of it."""
    import numpy as np
    import torch
    from fuxictr.features import FeatureMap
    from fuxictr.pytorch.dataloaders.npz_dataloader import NpzDataLoader
    from fuxictr.pytorch.torch_utils import seed_everything

    torch.set_num_threads(arguments.threads)
    seed_everything(arguments.seed)
    features = FeatureMap("frappe", str(folder))
    features.features = OrderedDict(
        (name, {"source": "", "type": "categorical", "padding_idx": 0, "oov_idx": size - 1, "vocab_size": size})
        for name, size in zip(ctr.FIELDS, rows.sizes, strict=True)
    )
    features.labels = ["label"]
    features.num_fields = features.get_num_fields()
    features.total_features = sum(rows.sizes)
    features.default_emb_dim = arguments.d
    features.set_column_index()
    loaders = {}
    for part in ctr.PARTS:
        columns = dict(zip(ctr.FIELDS, rows.codes[part].T, strict=True)) | {"label": rows.labels[part]}
        np.savez(folder / f"{part}.npz", **columns)
        loaders[part] = NpzDataLoader(
            features, str(folder / f"{part}.npz"), batch_size=arguments.batch, shuffle=part == "train", num_workers=0
        )
    dim = {} if arguments.model == "LR" else {"embedding_dim": arguments.d}
    model = constructor(arguments.zoo, arguments.model)(
        features,
        learning_rate=arguments.lr,
        optimizer="adam",
        loss="binary_crossentropy",
        metrics=["AUC", "logloss"],
        monitor="AUC",
        monitor_mode="max",
        early_stop_patience=arguments.patience,
        verbose=0,
        model_root=str(folder),
        **dim,
        **settings(arguments.model, arguments.settings),
    )
    Path(model.model_dir).mkdir(parents=True, exist_ok=True)
    watch(model, clock)
    more = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
    started = time.perf_counter()
    try:
        model.fit(loaders["train"], epochs=arguments.epochs, validation_data=loaders["validation"])
    except ctr.EnoughError:
        return started, more
    probabilities = model.predict(loaders["test"])
    labels = rows.labels["test"]
    return started, more | {
        "test_auc": round(ctr.auc(labels, probabilities), 6),
        "test_logloss": round(ctr.logloss(labels, probabilities), 6),
    }


def watch(model: Any, clock: ctr.Clock) -> None:
    """Have the clock run in training steps alone, and note each epoch's validation AUC."""
    step, judge, check, epoch = model.train_step, model.eval_step, model.checkpoint_and_earlystop, model.train_epoch

    def timed_step(batch: Any) -> Any:
        clock.begin()
        loss = step(batch)
        clock.end(len(batch["label"]))
        return loss

    def untimed_judge() -> None:
        clock.pause()
        judge()
        clock.pause()

    def noted_check(logs: Any, **more: Any) -> None:
        clock.record(logs["AUC"], model.optimizer.param_groups[0]["lr"])
        check(logs, **more)

    def new_epoch(loader: Any) -> None:
        clock.pause()
        epoch(loader)

    model.train_step, model.eval_step = timed_step, untimed_judge
    model.checkpoint_and_earlystop, model.train_epoch = noted_check, new_epoch


if __name__ == "__main__":
    main()
