"""Propensities: how likely places are looked at, recovered from logs whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tastemaker.data.propensity import Propensities, PropensityConfig
from tastemaker.data.synthetic_rows import ClickLog, click_log
from tastemaker.errors import ConfigError, DataError

BY = {"position": "position", "by": ["query", "item"]}
SHUFFLED = {"position": "position", "shuffled": "shuffled"}


@pytest.fixture(scope="module")
def log() -> ClickLog:
    return click_log()


def fit(log: ClickLog, table: pa.Table | None = None, **settings: Any) -> Propensities:
    table = log.table if table is None else table
    clicks = table["click"].to_numpy().astype(float)
    return Propensities.fit(PropensityConfig.parse(settings, "propensity"), table, clicks)


@pytest.mark.parametrize(("settings", "near"), [(BY, 0.05), (SHUFFLED, 0.1)])
def test_examination_is_recovered(log: ClickLog, settings: dict[str, Any], near: float) -> None:
    found = fit(log, **settings)
    assert found.positions.tolist() == list(range(1, 9))
    np.testing.assert_allclose(found.examined, log.examination, atol=near)
    assert found.examined[0] == 1


def test_what_is_looked_at_is_told_from_what_is_put_there_where_rates_of_clicks_mix_them(
    log: ClickLog,
) -> None:
    good_on_top = click_log(shuffled=0.0, seed=1)
    table = good_on_top.table
    query, item = (np.array([int(name[1:]) for name in table[column].to_pylist()]) for column in ("query", "item"))
    wanted = good_on_top.relevance[query, item]
    kept = np.random.default_rng(0).random(len(table)) < np.where(table["position"].to_numpy() <= 2, wanted, 1 - wanted)
    table = table.filter(pa.array(kept))  # what is wanted stays on top, what is not further down
    at, clicks = table["position"].to_numpy(), table["click"].to_numpy()
    raw = np.array([clicks[at == place].mean() for place in range(1, 9)])
    found = fit(log, table, **BY).examined
    assert np.abs(found - log.examination).max() < 0.06
    assert np.abs(raw / raw[0] - log.examination).max() > np.abs(found - log.examination).max() * 2


def test_where_all_is_clicked_all_is_looked_at() -> None:
    table = pa.table({"position": [1, 2, 1, 2], "item": ["a", "a", "b", "b"], "click": [1, 1, 1, 1]})
    found = Propensities.fit(PropensityConfig.parse({"position": "position", "by": ["item"]}), table, np.ones(4))
    np.testing.assert_allclose(found.examined, 1)


def test_rows_of_no_known_label_are_left_out(log: ClickLog) -> None:
    clicks = log.table["click"].to_numpy().astype(float)
    config = PropensityConfig.parse(SHUFFLED)
    hidden = np.where(np.arange(len(clicks)) % 2, clicks, np.nan)
    found = Propensities.fit(config, log.table, hidden)
    wanted = Propensities.fit(config, log.table.filter(pa.array(np.arange(len(clicks)) % 2 == 1)), clicks[1::2])
    assert found.examined.tolist() == wanted.examined.tolist()


def test_a_positive_counts_one_over_its_propensity_clipped(log: ClickLog) -> None:
    found = fit(log, **SHUFFLED, clip=0.3)
    table = pa.table({"position": [1, 2, 8, 5000, 0]})
    at = found.of(table)
    np.testing.assert_array_equal(at, found.examined[[0, 1, 7, 7, 0]])
    np.testing.assert_allclose(found.lifts(table), 1 / np.maximum(at, 0.3), rtol=1e-6)
    assert found.lifts(table).dtype == np.float32


def test_a_column_says_it_all(log: ClickLog) -> None:
    config = PropensityConfig.parse({"column": "seen", "clip": 0.2})
    found = Propensities.fit(config, pa.table({"seen": [0.5]}), np.array([1.0]))
    assert found.lifts(pa.table({"seen": [1.0, 0.5, 0.1]})).tolist() == [1, 2, 5]
    for wrong in (0.0, 1.5, None):
        with pytest.raises(DataError, match="numbers above 0, 1 at most"):
            found.of(pa.table({"seen": pa.array([0.5, wrong], pa.float64())}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "one of column and position"),
        ({"column": "a", "position": "b"}, "one of column and position"),
        ({"column": "a", "by": ["item"]}, "neither shuffled nor by"),
        ({"position": "a"}, "one of shuffled, by and joint"),
        ({"position": "a", "shuffled": "b", "by": ["c"]}, "one of shuffled, by and joint"),
        ({"position": "a", "joint": True, "clip": 0.2}, "no clip"),
        ({"column": "a", "clip": 0}, "clip"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PropensityConfig.parse(settings, "propensity")


def test_logs_that_cannot_tell_are_refused(log: ClickLog) -> None:
    with pytest.raises(DataError, match="share no position"):
        fit(log, position="position", by=["position"])
    never = log.table.set_column(log.table.column_names.index("shuffled"), "shuffled", pa.array([False] * len(log.table)))
    with pytest.raises(DataError, match="no row with 'shuffled'"):
        fit(log, never, **SHUFFLED)
    last = pc.equal(log.table["position"], 8)
    unclicked = log.table.filter(pc.or_(pc.invert(last), pc.equal(log.table["click"], 0)))
    with pytest.raises(DataError, match="no click at position 8"):
        fit(log, unclicked, **BY)
    with pytest.raises(DataError, match="the column 'place'"):
        fit(log, position="place", by=["item"])
    without = pa.table({"position": pa.array([1, None]), "click": [0, 1], "item": ["a", "b"]})
    with pytest.raises(DataError, match="1 rows without a position"):
        fit(log, without, position="position", by=["item"])
