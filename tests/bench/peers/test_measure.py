"""The part of the comparison with peers that needs no peer: events, clock, NDCG, table."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FOLDER = Path(__file__).parents[3] / "bench" / "peers"


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"bench_peers_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


measure = _module("measure")
prepare = _module("prepare")


@pytest.fixture
def events():
    return measure.Events(np.array([7, 7, 7, 7, 9, 9, 9]), np.array([30, 10, 20, 10, 20, 30, 10]))


def test_train_is_all_but_the_last_two_events_of_each_user(events):
    np.testing.assert_array_equal(events.before("validation"), [True, True, False, False, True, False, False])
    assert [list(history) for history in events.histories("validation")] == [[2, 0], [1]]


def test_the_history_before_test_includes_the_validation_event(events):
    assert [list(history) for history in events.histories("test")] == [[2, 0, 1], [1, 2]]
    np.testing.assert_array_equal(events.before("test"), [True, True, True, False, True, True, False])


def test_the_truth_is_the_last_but_one_and_the_last_item(events):
    np.testing.assert_array_equal(events.truth("validation"), [1, 2])
    np.testing.assert_array_equal(events.truth("test"), [0, 0])


def test_targets_count_next_items_within_the_length(events):
    assert events.targets(max_length=50) == 1
    long = measure.Events(np.repeat([1, 2], [10, 6]), np.arange(16))
    assert long.targets(max_length=50) == 7 + 3
    assert long.targets(max_length=4) == 4 + 3


def test_a_user_with_two_events_is_refused():
    with pytest.raises(SystemExit, match="user 4 has 2 events"):
        measure.Events(np.array([3, 3, 3, 4, 4]), np.arange(5))


def test_unsorted_events_are_refused(tmp_path):
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"user_id": [1, 1, 1], "item_id": [5, 6, 7], "timestamp": [0, 2, 1]}), path)
    with pytest.raises(SystemExit, match="not sorted"):
        measure.load(path)


def test_ndcg_discounts_by_rank_and_divides_by_all_users():
    lists = np.full((4, 10), -1)
    lists[0, 0] = lists[1, 2] = lists[2, 9] = 5  # the fourth user's list lacks the truth
    expected = (1 + 1 / 2 + 1 / np.log2(11)) / 4
    assert measure.ndcg(lists, np.full(4, 5)) == pytest.approx(expected)


def test_a_partial_epoch_is_projected_from_the_steps_after_the_warm_up(monkeypatch):
    clock = iter([(0.0, 0.0), (30.0, 60.0), (32.0, 63.0), (34.0, 66.0), (35.0, 67.0)])
    monkeypatch.setattr(measure.Meter, "_now", staticmethod(lambda: next(clock)))
    meter = measure.Meter(steps_per_epoch=100, warmup_steps=1, max_steps=3)
    meter.start_epoch()
    assert list(measure.watched(range(100), meter)) == [0, 1, 2]
    meter.end_epoch()
    result = meter.result()
    assert (result["cpu_s_per_epoch"], result["wall_s_per_epoch"]) == (200.0, 300.0)
    assert result["measured"] == "steps 2-3 of 100, projected"


def test_later_epochs_stand_for_the_figure_where_there_are_some():
    meter = measure.Meter(steps_per_epoch=10, epochs=[(9.0, 9.0), (2.0, 3.0), (4.0, 5.0)])
    assert meter.result() == {"cpu_s_per_epoch": 3.0, "wall_s_per_epoch": 4.0, "measured": "epochs 2-3", "steps": 10}


def test_positions_count_from_zero_within_each_user():
    np.testing.assert_array_equal(prepare.positions(np.array([7, 7, 7, 9, 9, 12])), [0, 1, 2, 0, 1, 0])


def test_movielens_keeps_the_published_items_and_all_users(bench_data):
    users, items = prepare.movielens_1m(bench_data)
    assert (len(np.unique(users)), len(np.unique(items))) == (6040, 3416)


def test_amazon_beauty_keeps_every_event_in_order(bench_data):
    users, items = prepare.amazon_beauty(bench_data)
    assert (len(users), len(np.unique(users)), len(np.unique(items))) == (198_502, 22_363, 12_101)
    first = pq.read_table(bench_data / "amazon-beauty" / "sequences.parquet").sort_by("user_id")["item_ids"][0].as_py()
    assert list(items[: len(first)]) == first


def test_the_table_has_a_row_a_result():
    run = _module("run")
    line = dict.fromkeys(run.COLUMNS, 1) | {"peer": "RecTools", "settings": {"batch": 128, "max_length": 200}}
    del line["batch"], line["max_length"]
    last = run.table([line]).splitlines()[-1]
    assert last.startswith("| RecTools | 1 | 1 | 128 | 200 |")
