from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.attributes import Attributes
from tastemaker.errors import ConfigError, DataError


@pytest.fixture
def items() -> pa.Table:
    """Films of four genres, three studios, and a length; the fourth row lacks everything."""
    return pa.table(
        {
            "genres": ["a|b", "a", "b|a|c", None, "c|c", "a|b", "d", "b"],
            "studio": ["x", "y", "x", None, "", "y", "z", "x"],
            "minutes": [90.5, None, 120.5, None, float("nan"), 80.0, 100.25, 110.0],
        }
    )


FIELDS = {"genres": {"kind": "categories", "separator": "|"}}


def fitted(items: pa.Table, nobody: Interactions, **settings: Any) -> Attributes:
    encoder = Attributes(Attributes.Config.parse({"fields": FIELDS} | settings))
    encoder.fit(items, nobody)
    return encoder


def test_each_frequent_value_has_a_place(items: pa.Table, nobody: Interactions) -> None:
    found = fitted(items, nobody).encode(items)
    # studio: x, y (z is rare) · genres: a, b (both 4), c · minutes · minutes missing
    minutes = np.array([90.5, 120.5, 80, 100.25, 110])
    standard = (minutes - minutes.mean()) / minutes.std()
    half, third = 2**-0.5, 3**-0.5
    expected = [
        [1, 0, half, half, 0, standard[0], 0],
        [0, 1, 1, 0, 0, 0, 1],
        [1, 0, third, third, third, standard[1], 0],
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 1],
        [0, 1, half, half, 0, standard[2], 0],
        [0, 0, 0, 0, 0, standard[3], 0],
        [1, 0, 0, 1, 0, standard[4], 0],
    ]
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert found.present.tolist() == [True, True, True, False, True, True, True, True]
    assert found.rejects == {}


def test_values_not_met_before_are_nothing_known(items: pa.Table, nobody: Interactions) -> None:
    encoder = fitted(items, nobody)
    fresh = pa.table(
        {
            "genres": pa.array(["q", "q|a", None, "q"], pa.string()),
            "studio": pa.array(["q", None, "z", "q"], pa.string()),
            "minutes": pa.array([None, None, float("inf"), 1e30], pa.float64()),
        }
    )
    found = encoder.encode(fresh)
    assert found.present.tolist() == [False, True, False, True]
    assert found.values[1].tolist() == [0, 0, 1, 0, 0, 0, 1]
    assert found.values[3, 5] == 8 and np.isfinite(found.values).all()


def test_only_the_most_frequent_values_count(items: pa.Table, nobody: Interactions) -> None:
    found = fitted(items, nobody, most=1, min_count=1).encode(items)
    assert found.values.shape[1] == 1 + 1 + 2
    assert found.values[:, 0].tolist() == [1, 0, 1, 0, 0, 0, 0, 1]  # x
    assert found.values[:, 1].tolist() == [1, 1, 1, 0, 0, 1, 0, 0]  # a: the lower of those as frequent


def test_numbers_in_buckets_and_quantiles(items: pa.Table, nobody: Interactions) -> None:
    only = items.select(["minutes"])
    buckets = {"minutes": {"kind": "number", "scale": "buckets", "buckets": 2}}
    found = fitted(only, nobody, fields=buckets).encode(only)
    assert found.values[[5, 0]].tolist() == [[0, 1], [0, 1]] or found.values[[5, 0]].tolist() == [[1, 0], [1, 0]]
    assert found.values[2].tolist() == found.values[7].tolist() != found.values[0].tolist()
    quantiles = {"minutes": {"kind": "number", "scale": "quantile"}}
    ranks = fitted(only, nobody, fields=quantiles).encode(only).values[:, 0]
    assert np.argsort(ranks[[5, 0, 6, 7, 2]]).tolist() == [0, 1, 2, 3, 4]


def test_lists_vectors_times_and_flags_are_read(nobody: Interactions) -> None:
    table = pa.table(
        {
            "tags": pa.array([["a", "b"], ["a", None], [], None] * 3),
            "colour": pa.array([[1.0, 0.0], [0.0, 1.0], None, [1.0, 1.0]] * 3),
            "released": pa.array([0, 3 * 10**15, None, 10**15] * 3, pa.timestamp("us")),
            "new": pa.array([True, False, None, True] * 3),
        }
    )
    found = fitted(table, nobody, fields={}).encode(table)
    assert found.values.shape[1] == 2 + 2 + 2 + 6
    assert found.present.tolist() == [True, True, False, True] * 3
    np.testing.assert_allclose(np.linalg.norm(found.values[:2, 6:], axis=1), 3**0.5 / 6**0.5, rtol=1e-5)


def test_an_svd_keeps_the_likeness_of_rows(items: pa.Table, nobody: Interactions) -> None:
    long, short = (fitted(items, nobody, dim=dim).encode(items) for dim in (0, 8))
    np.testing.assert_allclose(short.values @ short.values.T, long.values @ long.values.T, atol=1e-5)
    assert short.values.shape[1] == 8 and (short.present == long.present).all()
    few = fitted(items, nobody, dim=2).encode(items).values
    assert np.square(few).sum() > 0.6 * np.square(long.values).sum()


def test_values_that_occur_together_are_near_after_an_svd(nobody: Interactions) -> None:
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, 400)
    tags = [[f"{side[row]}-{value}" for value in rng.choice(12, 3, replace=False)] for row in range(400)]
    items = pa.table({"tags": tags})
    found = fitted(items, nobody, dim=2, fields={}).encode(items).values
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    alike = found @ found.T
    same = side[:, None] == side
    assert alike[same].mean() > 0.95 and alike[~same].mean() < 0.05


def test_what_is_wrong_is_said(items: pa.Table, nobody: Interactions) -> None:
    with pytest.raises(ConfigError, match=r"fields\.genre.*no column 'genre'"):
        fitted(items, nobody, fields={"genre": {"kind": "category"}})
    with pytest.raises(DataError, match="no columns"):
        fitted(items.select([]), nobody, fields={})
    with pytest.raises(DataError, match="no column to learn from"):
        fitted(pa.table({"title": [f"a text of words {row}" for row in range(99)]}), nobody, fields={})
    with pytest.raises(DataError, match="no column 'minutes'"):
        fitted(items, nobody).encode(items.drop_columns(["minutes"]))
    with pytest.raises(DataError, match="column 'minutes'"):
        fitted(items, nobody).encode(items.set_column(2, "minutes", pa.array(["long"] * 8)))
