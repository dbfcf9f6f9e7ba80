"""The part of the comparison with ranking peers that needs no peer: rows, clock, AUC, log loss, settings."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import log_loss, roc_auc_score

FOLDER = Path(__file__).parents[3] / "bench" / "peers"


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # the scripts import each other by bare names
    spec.loader.exec_module(module)
    return module


measure, ctr = _module("measure"), _module("ctr_measure")
fuxictr_ctr, deepctr_ctr = _module("fuxictr_ctr"), _module("deepctr_ctr")


def test_auc_and_log_loss_agree_with_scikit_learn_ties_included():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, 500).astype(float)
    scores = np.round(draw.random(500) * 0.98 + 0.01, 2)
    assert ctr.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert ctr.auc(labels, np.zeros(500)) == 0.5
    assert ctr.logloss(labels, scores) == pytest.approx(log_loss(labels, scores))


def test_a_certain_error_costs_a_finite_log_loss():
    assert ctr.logloss(np.array([0.0]), np.array([1.0])) == pytest.approx(-np.log(1e-7))


def test_codes_leave_nought_to_padding_and_the_last_to_the_unknown(tmp_path):
    for part, items in {"train": ["b", "a", "b"], "validation": ["a"], "test": ["c", "b"]}.items():
        columns = {name: ["x"] * len(items) for name in ctr.FIELDS} | {"item": items, "label": np.ones(len(items), np.int8)}
        pq.write_table(pa.table(columns), tmp_path / f"{part}.parquet")
    rows = ctr.load(tmp_path)
    place = ctr.FIELDS.index("item")
    assert rows.sizes[place] == 4
    np.testing.assert_array_equal(rows.codes["train"][:, place], [2, 1, 2])
    np.testing.assert_array_equal(rows.codes["test"][:, place], [3, 2])
    assert rows.codes["validation"].shape == (1, len(ctr.FIELDS))


def test_the_clock_counts_steps_and_what_lies_between_them_but_no_warm_up_and_no_pause():
    times = iter([0.0, 9.0, 10.0, 11.0, 11.5, 13.5, 50.0, 51.0])
    clock = ctr.Clock(warmup=1, _now=lambda: next(times))
    for pause in (False, False, True, False):
        clock.begin()
        clock.end(100)
        if pause:
            clock.pause()
    assert (clock.inside, clock.between, clock.samples) == (1 + 2 + 1, 1 + 0.5, 300)
    assert clock.result()["samples_per_cpu_s"] == 75


def test_the_clock_stops_training_after_the_steps_asked_for():
    clock = ctr.Clock(warmup=2, limit=3)
    for _ in range(4):
        clock.begin()
        clock.end(1)
    clock.begin()
    with pytest.raises(ctr.EnoughError):
        clock.end(1)
    assert clock.samples == 3


def test_every_model_has_settings_under_its_peers_names():
    for model in fuxictr_ctr.MODELS:
        assert fuxictr_ctr.settings(model, ctr.BARS[model])
    assert set(deepctr_ctr.MODELS) == set(ctr.BARS) - {"FFM", "FinalMLP"}
    assert fuxictr_ctr.settings("DCNv2", ctr.BARS["DCNv2"])["parallel_dnn_hidden_units"] == [400, 400, 400]
    assert fuxictr_ctr.settings("FinalMLP", ctr.BARS["FinalMLP"])["mlp2_hidden_units"] == [100]
