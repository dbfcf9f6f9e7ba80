"""A ranker's run from a config to a predictor that says the same wherever it is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tastemaker.data import synthetic_rows
from tastemaker.errors import ArtifactError, ConfigError, DataError
from tastemaker.evaluate.auc import auc_difference
from tastemaker.experiment.any_config import read_any
from tastemaker.experiment.compare import compare_runs
from tastemaker.experiment.config import Config
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.rank_config import RankConfig
from tastemaker.experiment.ranking import PREDICTIONS, rank_run
from tastemaker.experiment.result import RunResult
from tastemaker.recommend.predictor import is_predictor, load_predictor
from tastemaker.recommend.scored import score_file


def written(world: str, folder: Path, rows: int = 2000, **extra: Any) -> pa.Table:
    made = synthetic_rows.WORLDS[world](rows)
    table = made.table
    for name, column in zip(made.outputs, made.labels.T, strict=True):
        table = table.append_column(name, pa.array(column.astype(np.int8)))
    for name, values in extra.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, folder / "rows.parquet")
    return table


def config(folder: Path, ranker: str = "fm", **sections: dict[str, Any]) -> RankConfig:
    tree: dict[str, dict[str, Any]] = {
        "data": {"rows": "rows.parquet"},
        "model": {"name": ranker},
        "train": {"epochs": 3, "batch_rows": 128, "learning_rate": 0.01, "threads": 1, "device": "cpu"},
    }
    for name, values in sections.items():
        tree[name] = tree.get(name, {}) | values
    return RankConfig.parse(tree, folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("ranker")
    written("crossed", folder)
    wish = config(folder, train={"epochs": 12, "calibrate": "platt"}, evaluate={"threshold": "f1"})
    return rank_run(wish, folder / "run", ledger=Ledger(folder))


def test_the_report_sets_the_ranker_beside_its_baselines(run: RunResult) -> None:
    test, rivals = run.report["test"], run.report["baselines"]
    assert test["metrics"]["auc"] > 0.85
    assert set(rivals) == {"rate", "lr"}
    assert rivals["rate"]["test"]["metrics"]["auc"] == 0.5
    assert rivals["lr"]["test"]["metrics"]["auc"] < 0.6
    low, high = test["intervals"]["auc"]
    assert low < test["metrics"]["auc"] < high
    assert run.report["comparison"]["lr"]["p_value"] < 1e-6
    assert {"accuracy", "precision", "recall", "f1"} <= set(test["metrics"])


def test_the_ledger_and_the_summary_know_the_run(run: RunResult) -> None:
    (row,) = Ledger(run.folder.parent).runs()
    assert (row.model, row.status) == ("fm", "finished")
    assert row.test["auc"] == run.report["test"]["metrics"]["auc"]
    assert run.to_dict()["test"] == run.report["test"]["metrics"]


def test_the_predictor_says_what_the_report_was_made_of(run: RunResult) -> None:
    predictor = load_predictor(run.artifact)
    assert is_predictor(run.artifact)
    with pa.memory_map(str(run.folder / PREDICTIONS)) as source:
        said = pa.ipc.open_file(source).read_all()
    config = read_any(run.folder / "config.toml")
    assert isinstance(config, RankConfig)
    from tastemaker.data.rows import load_rows

    test = load_rows(config.data, config.split, config.base).test
    found = predictor.predict(test.table)
    np.testing.assert_array_equal(found["label"].to_numpy(), said["model/label"].to_numpy())
    assert predictor.threshold == run.report["protocol"]["threshold"]


def test_one_row_in_json_is_predicted_as_in_the_table(run: RunResult) -> None:
    predictor = load_predictor(run.artifact)
    rows = pq.read_table(run.folder.parent / "rows.parquet").slice(0, 5)
    whole = predictor.predict(rows)["label"].to_numpy()
    one_by_one = [predictor.predict([row])["label"][0].as_py() for row in rows.to_pylist()]
    np.testing.assert_allclose(one_by_one, whole, rtol=1e-5)
    assert 0 < predictor.predict([{}])["label"][0].as_py() < 1  # everything missing


def test_a_file_is_scored_with_its_own_columns_kept(run: RunResult, tmp_path: Path) -> None:
    table, names = score_file(
        load_predictor(run.artifact), str(run.folder.parent / "rows.parquet"), tmp_path / "deep" / "out.parquet"
    )
    assert names == ["p(label)"]
    assert pq.read_table(tmp_path / "deep" / "out.parquet").equals(table)
    assert {"label", "a", "b", "c"} <= set(table.column_names)


def test_training_with_the_resolved_config_repeats_the_run(run: RunResult) -> None:
    again = rank_run(
        read_any(run.folder / "config.toml"), run.folder.parent / "again", ledger=Ledger(run.folder.parent / "other")
    )  # type: ignore[arg-type]
    assert again.report["test"]["metrics"] == run.report["test"]["metrics"]


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    written("crossed", tmp_path)
    whole = rank_run(config(tmp_path), tmp_path / "whole", ledger=Ledger(tmp_path / "a"))

    class KilledError(Exception):
        pass

    def kill(record: Any) -> None:
        if record.complete and record.epoch == 2:
            raise KilledError

    ledger = Ledger(tmp_path / "b")
    with pytest.raises(KilledError):
        rank_run(config(tmp_path), tmp_path / "part", on_record=kill, ledger=ledger)
    resumed = rank_run(config(tmp_path), tmp_path / "part", resume=True, ledger=ledger)
    assert resumed.report["test"] == whole.report["test"]


def test_several_labels_are_judged_each_by_its_name(tmp_path: Path) -> None:
    written("funnel", tmp_path)
    result = rank_run(config(tmp_path, "dnn", data={"label": ["click", "buy"]}), tmp_path / "run", ledger=Ledger(tmp_path))
    assert {"auc/click", "auc/buy"} <= set(result.report["test"]["metrics"])
    assert load_predictor(result.artifact).predict([{"a": "a1"}]).column_names == ["click", "buy"]


def test_the_epoch_is_chosen_by_the_mean_over_labels(tmp_path: Path) -> None:
    written("funnel", tmp_path)
    seen: list[float] = []
    wish = config(tmp_path, "dnn", data={"label": ["click", "buy"]})
    result = rank_run(
        wish, tmp_path / "run", on_record=lambda one: seen.append(one.best_metric or 0.0), ledger=Ledger(tmp_path)
    )
    found = result.report["validation"]["metrics"]
    assert seen[-1] == pytest.approx((found["auc/click"] + found["auc/buy"]) / 2)


def test_runs_of_rankers_are_compared_row_by_row_on_the_labels_they_share(tmp_path: Path) -> None:
    written("funnel", tmp_path)
    ledger = Ledger(tmp_path)
    both = rank_run(config(tmp_path, "dnn", data={"label": ["click", "buy"]}), tmp_path / "both", ledger=ledger)
    one = rank_run(
        config(tmp_path, "lr", data={"label": ["buy"]}, features={"leave_out": ["click"]}), tmp_path / "one", ledger=ledger
    )
    found = compare_runs([one.folder, both.folder], ledger=ledger)
    assert (found.names, found.metrics, found.judged) == (["lr", "dnn"], ["auc/buy"], "200 rows")
    first, second = found.rows
    assert first.value == pytest.approx(one.report["test"]["metrics"]["auc"])
    assert second.value == pytest.approx(both.report["test"]["metrics"]["auc/buy"])
    assert second.difference == pytest.approx(second.value - first.value)
    scores = (one.predictions()["model/buy"].to_numpy(), both.predictions()["model/buy"].to_numpy())
    wanted = auc_difference(both.predictions()["label/1"].to_numpy(), *scores)
    assert (second.difference, second.p_value, second.p_holm) == (wanted.value, wanted.p_value, wanted.p_value)
    assert "DeLong" in str(found.__rich__().renderables[0].caption)
    with pytest.raises(DataError, match="expected auc/click in every run"):
        compare_runs([one.folder, both.folder], ["auc/click"], ledger=ledger)
    other = rank_run(
        config(tmp_path, "dnn", data={"label": ["click", "buy"]}, split={"seed": 1}), tmp_path / "other", ledger=ledger
    )
    with pytest.raises(DataError, match="other rows"):
        compare_runs([both.folder, other.folder], ledger=ledger)


def test_classes_are_judged_as_classes_and_by_their_mean(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    a, b = draw.integers(0, 6, 1500), draw.integers(0, 6, 1500)
    stars = np.clip((a + b) // 2 + draw.integers(-1, 2, 1500), 1, 5)
    pq.write_table(pa.table({"a": [f"a{n}" for n in a], "b": [f"b{n}" for n in b], "stars": stars}), tmp_path / "rows.parquet")
    wish = config(tmp_path, "dnn", data={"label": "stars", "classes": True}, train={"epochs": 8, "learning_rate": 0.003})
    result = rank_run(wish, tmp_path / "run", ledger=Ledger(tmp_path))
    assert set(result.report["test"]["metrics"]) == {"log_loss", "accuracy", "rmse"}
    assert result.report["test"]["metrics"]["rmse"] < 0.9
    said = load_predictor(result.artifact).predict([{"a": "a5", "b": "b5"}])
    assert said.column_names == ["1", "2", "3", "4", "5"]
    assert abs(sum(column[0].as_py() for column in said.columns) - 1) < 1e-6


@pytest.mark.parametrize("loss", ["focal", "pairwise", "listwise"])
def test_other_losses_order_rows_as_well(tmp_path: Path, loss: str) -> None:
    written("crossed", tmp_path, who=np.arange(2000) % 50)
    wish = config(tmp_path, data={"group": "who"}, features={"leave_out": ["who"]}, train={"epochs": 8, "loss": loss})
    result = rank_run(wish, tmp_path / "run", ledger=Ledger(tmp_path))
    assert result.report["test"]["metrics"]["auc"] > 0.8
    assert "grouped_auc" in result.report["test"]["metrics"]


def test_calibration_mends_the_probabilities_of_a_loss_that_knows_none(tmp_path: Path) -> None:
    written("crossed", tmp_path, 4000, who=np.arange(4000) % 50)
    errors = {}
    for calibrate in (None, "platt", "isotonic"):
        chosen = {} if calibrate is None else {"calibrate": calibrate}
        wish = config(
            tmp_path,
            data={"group": "who"},
            features={"leave_out": ["who"]},
            train={"epochs": 6, "loss": "listwise", **chosen},
            split={"validation_share": 0.2, "test_share": 0.2},
        )
        result = rank_run(wish, tmp_path / f"run-{calibrate}", ledger=Ledger(tmp_path))
        errors[calibrate] = result.report["test"]["metrics"]["calibration_error"]
    assert errors["platt"] < errors[None] / 2
    assert errors["isotonic"] < errors[None] / 2


def test_a_field_that_tells_the_label_is_reported(tmp_path: Path) -> None:
    table = written("crossed", tmp_path)
    label = table["label"].to_numpy()
    pq.write_table(
        table.append_column("paid", pa.array([f"yes{v}" for v in label])).append_column("late", pa.array(label * 3.5 + 1)),
        tmp_path / "rows.parquet",
    )
    wish = config(tmp_path, features={"fields": {"late": {"kind": "number"}}}, train={"epochs": 1})
    notes = rank_run(wish, tmp_path / "run", ledger=Ledger(tmp_path)).report["notes"]
    assert [note.split()[0] for note in notes] == ["paid", "late"]
    assert all('features.leave_out = ["' in note for note in notes)


def test_the_model_named_says_of_which_kind_a_config_is(tmp_path: Path) -> None:
    for name, kind in (("deepfm", RankConfig), ("sasrec", Config)):
        (tmp_path / "c.toml").write_text(f'[model]\nname = "{name}"\n')
        assert isinstance(read_any(tmp_path / "c.toml"), kind)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"train": {"los": "bce"}}, "loss"),
        ({"train": {"loss": "bpr"}}, "one of bce"),
        ({"train": {"optimizer": "sgd"}}, "adam"),
        ({"evaluate": {"baselines": ["l"]}}, "ranker 'l'"),
        ({"model": {"hidden": [4]}}, "model.hidden"),
        ({"run": {}}, "unknown section 'run'"),
        ({"objectives": {"home": {"weights": {"buy": 1}}}}, "one of label"),
        ({"objectives": {"home": 3}}, r"a section \[objectives.home\]"),
    ],
)
def test_a_config_that_cannot_be_is_refused_at_once(tmp_path: Path, sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(tmp_path, **sections)


def test_a_label_of_one_value_and_a_grouped_loss_without_groups_are_data_errors(tmp_path: Path) -> None:
    table = written("crossed", tmp_path)
    with pytest.raises(DataError, match="without groups"):
        rank_run(config(tmp_path, train={"loss": "pairwise"}), tmp_path / "a", ledger=Ledger(tmp_path))
    pq.write_table(
        table.set_column(table.column_names.index("label"), "label", pa.array(np.ones(len(table)))), tmp_path / "rows.parquet"
    )
    with pytest.raises(DataError, match="one value"):
        rank_run(config(tmp_path), tmp_path / "b", ledger=Ledger(tmp_path))


def test_a_damaged_predictor_is_refused(run: RunResult, tmp_path: Path) -> None:
    import shutil

    for name in ("weights.safetensors", "features.arrow", "manifest.json"):
        folder = tmp_path / name
        shutil.copytree(run.artifact, folder)
        raw = bytearray((folder / name).read_bytes())
        raw[len(raw) // 2] ^= 1
        (folder / name).write_bytes(bytes(raw))
        with pytest.raises(ArtifactError):
            load_predictor(folder)
    assert json.loads((run.artifact / "manifest.json").read_text())["ranker"]["name"] == "fm"
