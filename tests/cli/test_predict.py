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


@pytest.fixture(scope="module")
def funnel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a ranker of clicks and purchases, shown in lists of ten, with two objectives."""
    folder = tmp_path_factory.mktemp("funnel")
    world = synthetic_rows.funnel(2400)
    table = world.table.append_column("list", pa.array(np.arange(2400) // 10))
    for name, column in zip(world.outputs, world.labels.T, strict=True):
        table = table.append_column(name, pa.array(column.astype(np.int8)))
    pq.write_table(table, folder / "rows.parquet")
    (folder / "funnel.toml").write_text(
        """
        data = { rows = "rows.parquet", label = ["click", "buy"], group = "list" }
        features.leave_out = ["list"]
        split = { test_share = 0.3, validation_share = 0.3 }
        model = { name = "shared_bottom", hidden = [16], tower = [8] }
        train = { epochs = 4, learning_rate = 0.01, batch_rows = 128, threads = 1 }
        evaluate.baselines = []
        [objectives.home]
        weights = { click = 1, buy = 3 }
        [objectives.checkout]
        weights = { click = 1, buy = 1 }
        combine = "product"
        floors = { click = 0.3 }
        """
    )
    done = call("train", folder / "funnel.toml", "--out", folder / "run")
    assert done.exit_code == 0, done.output
    assert "Weightings that no other beats" in done.output
    return folder


def _best(funnel: Path, *options: str) -> dict[str, list[dict[str, float]]]:
    return json.loads(
        call("predict", funnel / "run" / "artifact", funnel / "rows.parquet", "-k", "5", "--json", *options).stdout
    )


def test_rows_are_ordered_by_the_objective_that_is_asked_for_or_the_first(funnel: Path) -> None:
    for options, name, score in (
        ((), "score(home)", lambda click, buy: click + 3 * buy),
        (("--objective", "checkout"), "score(checkout)", lambda click, buy: np.log(click) + np.log(buy)),
        (("--objective", "buy=2"), "score(buy=2)", lambda click, buy: 2 * buy),
    ):
        found = _best(funnel, *options)
        assert found["ordered_by"] == name
        rows = found["best"]
        for row in rows:
            assert row[name] == pytest.approx(score(row["p(click)"], row["p(buy)"]), rel=1e-4)
        assert [row[name] for row in rows] == sorted((row[name] for row in rows), reverse=True)
    for wish, said in (("hom", "one of home, checkout, or weights"), ("cart=1", "one of click, buy")):
        done = call("predict", funnel / "run" / "artifact", funnel / "rows.parquet", "--objective", wish)
        assert (done.exit_code, said in done.output) == (2, True), done.output


def test_trade_offs_are_shown_drawn_and_searched(funnel: Path) -> None:
    done = call("tradeoffs", funnel / "run", "-k", "3", "--plot", funnel / "plot.png", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    points = found["points"]
    assert (found["k"], len(points)) == (3, 21)
    assert any(point["best"] for point in points)
    assert (funnel / "plot.png").stat().st_size > 5000
    assert "weight click" in call("tradeoffs", funnel / "run", "--combine", "product").stdout
    report = json.loads((funnel / "run" / "report.json").read_text())
    assert json.loads(call("tradeoffs", funnel / "run", "--json").stdout)["points"] == report["tradeoffs"]["points"]
    reach = points[0]["validation"]["buy"]["value"]
    done = call("tradeoffs", funnel / "run", "-k", "3", "--maximise", "click", "--floor", f"buy={reach * 0.98}", "--json")
    told = json.loads(done.stdout)
    assert told["given"]["validation"]["buy"] >= reach * 0.98
    assert told["given"]["validation"]["click"] >= points[0]["validation"]["click"]["value"]
    assert told["objective"]["weights"]["click"] == 1
    assert call("tradeoffs", funnel / "run", "--maximise", "click", "--floor", "buy=0.01").exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--maximise", "click"), "both"),
        (("--maximise", "click", "--floor", "buy"), "a label and a number"),
        (("--maximise", "click", "--floor", "buy=2"), "or less"),
        (("--maximise", "click", "--floor", "click=0.1"), "one, on another label"),
        (("--maximise", "view", "--floor", "buy=0.1"), "one of click, buy"),
        (("--combine", "mean"), "sum or product"),
    ],
)
def test_trade_offs_that_cannot_be_are_refused(funnel: Path, options: tuple[str, ...], said: str) -> None:
    done = call("tradeoffs", funnel / "run", *options)
    assert done.exit_code == 2, done.output
    assert said in done.output


def test_a_ranker_of_one_label_has_no_trade_offs(folder: Path) -> None:
    done = call("tradeoffs", folder / "run")
    assert (done.exit_code, "several labels" in done.output) == (2, True), done.output


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
