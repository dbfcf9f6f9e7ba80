"""A folder of small runs that were really trained: two judged alike, one of another split."""

from __future__ import annotations

from pathlib import Path

from tastemaker.experiment.config import Config
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import RunResult
from tastemaker.experiment.run import train_run


def runs(folder: Path) -> list[RunResult]:
    """Item neighbours and EASE on the same question, then popularity on another; with a ledger in the folder."""
    folder.mkdir(parents=True)
    rows = [
        f"u{u},i{(u * 5 + step) % 12},{1_700_000_000 + u * 50 + step * 3600}" for u in range(40) for step in range(4 + u % 4)
    ]
    (folder / "events.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    base = {
        "data": {"events": "events.csv"},
        "evaluate": {"metrics": ["ndcg", "recall"], "ks": [2, 5], "bootstrap": 50, "baselines": ["popularity"]},
    }
    plans = [
        ("neighbours", {"model": {"name": "item_knn"}, "split": {"kind": "leave_last"}}),
        ("ease", {"model": {"name": "ease"}, "split": {"kind": "leave_last"}}),
        ("other", {"model": {"name": "item_knn"}, "split": {"kind": "by_time"}}),
    ]
    return [train_run(Config.parse(base | own, folder), folder / name, ledger=Ledger(folder)) for name, own in plans]
