"""A tiny shop that verbs run on, and a run trained on it once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tastemaker.cli.app import app

CONFIG = """\
[data]
events = "events.csv"
items = "items.csv"

[split]
kind = "leave_last"

[model]
name = "sasrec"
dim = 8
blocks = 1
max_length = 10

[train]
epochs = 2
seed = 1

[evaluate]
metrics = ["ndcg", "hit_rate"]
ks = [5]
bootstrap = 50
"""


def write_shop(folder: Path) -> Path:
    """Forty customers going round a circle of twelve items; returns the config."""
    rows = [
        f"u{u},i{(u * 5 + step) % 12},{1_700_000_000 + u * 50 + step * 3600}" for u in range(40) for step in range(4 + u % 4)
    ]
    (folder / "events.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    (folder / "items.csv").write_text("\n".join(["item,title", *(f"i{i},Thing {i}" for i in range(12))]) + "\n")
    (folder / "shop.toml").write_text(CONFIG)
    return folder / "shop.toml"


@dataclass(frozen=True)
class Shop:
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "shop.toml"

    @property
    def run(self) -> Path:
        return self.folder / "first"

    @property
    def artifact(self) -> Path:
        return self.run / "artifact"

    def call(self, *arguments: object) -> Any:
        """Runs a verb in this process."""
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    def json(self, *arguments: object) -> dict[str, Any]:
        """The object that a verb prints last."""
        result = self.call(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop, with a finished run `first`; runs and the ledger are in its folder."""
    folder = tmp_path_factory.mktemp("shop")
    before = os.environ.get("TASTEMAKER_RUNS")
    os.environ["TASTEMAKER_RUNS"] = str(folder / "runs")
    write_shop(folder)
    shop = Shop(folder)
    result = shop.call("train", shop.config, "--out", shop.run)
    assert result.exit_code == 0, result.output
    yield shop
    if before is None:
        del os.environ["TASTEMAKER_RUNS"]
    else:
        os.environ["TASTEMAKER_RUNS"] = before
