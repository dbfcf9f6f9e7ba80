"""A tiny shop to search in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tastemaker.experiment.config import Config
from tastemaker.experiment.run import load_parts
from tastemaker.experiment.trial import Material

CONFIG = {
    "data": {"events": "events.csv"},
    "split": {"kind": "leave_last"},
    "evaluate": {"metrics": ["ndcg"], "ks": [5], "bootstrap": 20},
}
SASREC = {"name": "sasrec", "dim": 8, "blocks": 1, "max_length": 10}


@pytest.fixture(scope="session")
def circle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop whose forty customers go round a circle of twelve items: `events.csv`."""
    folder = tmp_path_factory.mktemp("circle")
    rows = [
        f"u{u},i{(u * 5 + step) % 12},{1_700_000_000 + u * 50 + step * 3600}" for u in range(40) for step in range(4 + u % 4)
    ]
    (folder / "events.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    return folder


@pytest.fixture(scope="session")
def config(circle: Path) -> Config:
    """Sasrec for the shop, four epochs long."""
    return Config.parse(CONFIG | {"model": SASREC, "train": {"epochs": 4, "learning_rate": 0.01}}, circle)


@pytest.fixture(scope="session")
def material(config: Config) -> Material:
    """The shop, split."""
    return Material.of(config, *load_parts(config)[:2])
