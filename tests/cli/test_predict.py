"""The verbs as they meet a ranker."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from tastemaker.cli.app import app
from tastemaker.data import synthetic_rows

CONFIG = """\
[data]
rows = "rows.csv"
label = "label"

[model]
name = "fm"

[train]
epochs = 2
batch_rows = 128
"""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    world = synthetic_rows.crossed(1200)
    lines = [
        "a,b,c,label",
        *(
            ",".join(map(str, (*row.values(), int(label))))
            for row, label in zip(world.table.to_pylist(), world.labels[:, 0], strict=True)
        ),
    ]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    (folder / "ranker.toml").write_text(CONFIG)
    done = call("train", folder / "ranker.toml", "--out", folder / "run")
    assert done.exit_code == 0, done.output
    assert "auc" in done.output and "Reliability" in done.output
    return folder


def test_train_json_has_the_promised_keys(folder: Path) -> None:
    done = call("train", folder / "ranker.toml", "--set", "train.epochs=1", "--out", folder / "json", "--json")
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found)[:3] == ["run", "artifact", "model"]
    assert 0 < found["test"]["auc"] < 1
    assert set(found["baselines"]) == {"rate", "lr"}


def test_describe_prints_what_columns_are_taken_for_and_a_section_to_edit(folder: Path) -> None:
    done = call("data", "describe", folder / "ranker.toml")
    assert done.exit_code == 0, done.output
    assert "a: category (8 different texts)" in done.output
    assert "[features]" in done.output
    found = json.loads(call("data", "describe", folder / "ranker.toml", "--json").stdout.splitlines()[-1])
    assert [field["name"] for field in found["fields"]] == ["a", "b", "c"]


def test_predict_writes_a_file_or_shows_the_likeliest(folder: Path) -> None:
    done = call("predict", folder / "run" / "artifact", folder / "rows.csv", "--out", folder / "out.parquet")
    assert done.exit_code == 0, done.output
    said = pq.read_table(folder / "out.parquet")["p(label)"].to_numpy()
    assert len(said) == 1200
    best = json.loads(call("predict", folder / "run" / "artifact", folder / "rows.csv", "-k", "3", "--json").stdout)["best"]
    assert [row["p(label)"] for row in best] == np.sort(said)[::-1][:3].tolist()
    assert call("predict", folder / "run" / "artifact", folder / "rows.csv", "-k", "3").exit_code == 0


def test_mistakes_are_told_in_one_line(folder: Path) -> None:
    pq.write_table(pa.table({"a": ["a1"]}), folder / "short.parquet")
    for arguments, said in (
        (("predict", folder / "run" / "artifact", folder / "short.parquet"), "no column 'b'"),
        (("predict", folder / "run", folder / "rows.csv"), "manifest.json"),
        (("train", folder / "ranker.toml", "--store", "shop.db"), "--store"),
        (("train", folder / "ranker.toml", "--set", "model.dimm=3"), "model.dimm"),
        (("train", folder / "ranker.toml", "--set", "data.label=nothing"), "label column"),
    ):
        done = call(*arguments)
        assert done.exit_code == 2 or done.exit_code == 1
        assert said in done.output
        assert "Traceback" not in done.output
