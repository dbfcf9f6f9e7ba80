"""LightGCN of RecBole at its defaults (d = 64, two layers) but with the paper's three: BPR, one uniform negative, `--batch` pairs a step.

    python bench/peers/recbole_lightgcn.py --events FILE.parquet --steps 10

`--events` has `user_id, item_id`, all of them trained on. Compare with `bench/graph_epoch.py --events FILE.parquet`. RecBole 1.2.1 fills its
adjacency through a method of scipy's `dok_matrix` that is gone since scipy 1.13; it is put back here, before the clock starts.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import measure


def main() -> None:
    arguments = measure.parse(__doc__, batch=2048, d=64, lr=0.001, steps=10, epochs=1)
    arguments.events = arguments.events.resolve()
    # RecBole leaves logs in the current folder.
    with measure.quiet(), tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        line = train(arguments, Path(folder))
    print(json.dumps(line), flush=True)


def train(arguments, folder: Path) -> dict:
    warnings.filterwarnings("ignore")
    import pyarrow.parquet as pq
    import scipy.sparse as sp
    import torch
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.model.general_recommender import LightGCN
    from recbole.trainer import Trainer
    from recbole.utils import init_seed

    if not hasattr(sp.dok_matrix, "_update"):
        sp.dok_matrix._update = lambda self, cells: self._dict.update(cells)
    sys.argv = sys.argv[:1]  # RecBole reads the command line as settings of its own
    events = pq.read_table(arguments.events, columns=["user_id", "item_id"]).to_pandas()
    (folder / "events").mkdir()
    events.rename(columns={"user_id": "user_id:token", "item_id": "item_id:token"}).to_csv(
        folder / "events" / "events.inter", sep="\t", index=False
    )
    config = Config(
        model="LightGCN",
        dataset="events",
        config_dict={
            "data_path": str(folder),
            "checkpoint_dir": str(folder),
            "load_col": {"inter": ["user_id", "item_id"]},
            "eval_args": {"split": {"RS": [1.0, 0.0, 0.0]}, "order": "RO", "mode": "full", "group_by": None},
            "train_batch_size": arguments.batch,
            "epochs": 1,
            "learning_rate": arguments.lr,
            "embedding_size": arguments.d,
            "n_layers": 3,
            "use_gpu": False,
            "show_progress": False,
            "seed": arguments.seed,
            "state": "ERROR",
        },
    )
    init_seed(config["seed"], config["reproducibility"])
    torch.set_num_threads(arguments.threads)
    dataset = create_dataset(config)
    train_data, _, _ = data_preparation(config, dataset)
    model = LightGCN(config, train_data.dataset)
    trainer = Trainer(config, model)
    meter = measure.Meter(math.ceil(len(train_data.dataset) / arguments.batch), arguments.warmup_steps, arguments.steps)
    meter.start_epoch()
    trainer._train_epoch(measure.watched(train_data, meter), 0)
    meter.end_epoch()
    return {
        "peer": "RecBole LightGCN",
        "version": version("recbole"),
        "torch": version("torch"),
        "events": arguments.events.stem,
        "pairs": len(train_data.dataset),
        "batch": arguments.batch,
        "d": arguments.d,
        "layers": 3,
        "threads": arguments.threads,
        "malloc": arguments.malloc,
        **meter.result(),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
