"""SASRec of RecBole, its default loss CE: one target a prefix of a history (its augmentation), each prefix padded to the length.

The defaults are RecBole's own. An epoch has as many rows as the train part has events after each user's first: tens of CPU
minutes on movielens-1m, so measure some `--steps` and let them be projected.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import warnings
from pathlib import Path

import measure


def main() -> None:
    arguments = measure.parse(__doc__, extend=extend, max_length=50, batch=2048, dropout=0.5)  # its own defaults
    arguments.events = arguments.events.resolve()
    # RecBole leaves logs in the current folder.
    with measure.quiet(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        report = train(arguments, Path(folder))
    report()


def extend(parser) -> None:
    parser.add_argument("--inner", type=int, default=256, help="width of the feed-forward layer; 256 is RecBole's default")


def train(arguments, folder: Path):
    warnings.filterwarnings("ignore")
    import numpy as np
    import pandas as pd
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.data.interaction import Interaction
    from recbole.model.sequential_recommender import SASRec
    from recbole.trainer import Trainer
    from recbole.utils import init_seed

    events = measure.load(arguments.events)
    (folder / "events").mkdir()
    pd.DataFrame(
        {"user_id:token": events.users, "item_id:token": events.items, "timestamp:float": events.positions},
    ).to_csv(folder / "events" / "events.inter", sep="\t", index=False)
    config = Config(
        model="SASRec",
        dataset="events",
        config_dict={
            "data_path": str(folder),
            "checkpoint_dir": str(folder),
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full", "group_by": "user"},
            "train_neg_sample_args": None,
            "MAX_ITEM_LIST_LENGTH": arguments.max_length,
            "train_batch_size": arguments.batch,
            "epochs": arguments.epochs,
            "learning_rate": arguments.lr,
            "n_layers": arguments.blocks,
            "n_heads": arguments.heads,
            "hidden_size": arguments.d,
            "inner_size": arguments.inner,
            "hidden_dropout_prob": arguments.dropout,
            "attn_dropout_prob": arguments.dropout,
            "loss_type": "CE",
            "use_gpu": False,
            "show_progress": False,
            "seed": arguments.seed,
            "state": "ERROR",
        },
    )
    # RecBole keeps the command line it finds as settings of its own; ours means nothing to it, and it says so in a warning.
    init_seed(config["seed"], config["reproducibility"])
    torch.set_num_threads(arguments.threads)
    dataset = create_dataset(config)
    train_data, _, _ = data_preparation(config, dataset)
    model = SASRec(config, train_data.dataset)
    trainer = Trainer(config, model)
    rows = len(train_data.dataset)
    meter = measure.Meter(math.ceil(rows / arguments.batch), arguments.warmup_steps, arguments.steps)
    side = arguments.eval_on
    codes = dataset.token2id("item_id", np.arange(events.num_items).astype(str))  # RecBole's, 0 is padding

    @torch.no_grad()
    def evaluate() -> float:
        model.eval()
        lists = []
        histories = events.histories(side)
        for start in range(0, events.num_users, 256):
            chunk = histories[start : start + 256]
            padded = np.zeros((len(chunk), arguments.max_length), dtype=np.int64)
            for row, history in zip(padded, chunk, strict=True):
                row[: min(len(row), len(history))] = codes[history[-len(row) :]]
            lengths = [min(arguments.max_length, len(history)) for history in chunk]
            query = Interaction({"item_id_list": torch.from_numpy(padded), "item_length": torch.tensor(lengths)})
            scores = model.full_sort_predict(query)[:, codes]
            seen = np.repeat(np.arange(len(chunk)), [len(history) for history in chunk])
            scores[seen, np.concatenate(chunk)] = -torch.inf
            lists.append(scores.topk(measure.K).indices.numpy())
        return measure.ndcg(np.concatenate(lists), events.truth(side))

    for epoch in range(arguments.epochs):
        meter.start_epoch()
        trainer._train_epoch(measure.watched(train_data, meter), epoch)
        meter.end_epoch()
        if meter.full:
            break
        if arguments.eval_every and (epoch + 1) % arguments.eval_every == 0:
            meter.record(evaluate(), side)
    return lambda: measure.report(
        "RecBole",
        "recbole",
        arguments,
        events,
        meter,
        settings={"inner": arguments.inner},
        targets=rows,
        positions=rows * arguments.max_length,
    )


if __name__ == "__main__":
    main()
