from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.vector import ReadyVectors
from tastemaker.errors import DataError


def fitted(column: Any, nobody: Interactions, **settings: object) -> tuple[ReadyVectors, pa.Table]:
    items = pa.table({"v": column})
    encoder = ReadyVectors(ReadyVectors.Config.parse(settings))
    encoder.fit(items, nobody)
    return encoder, items


def test_rejects_are_counted_and_nothing_is_no_reject(nobody: Interactions) -> None:
    cells = [
        [1, 2],
        [3, 4],
        None,
        [],
        [1],
        [1, 2, 3],
        [1, None],
        [np.nan, 1],
        [np.inf, 1],
        [-np.inf, np.inf],
        [1e300, 0],
        [0, 0],
    ]
    encoder, items = fitted(pa.array(cells, pa.list_(pa.float64())), nobody, scale="none")
    found = encoder.encode(items)
    assert found.present.tolist() == [True, True] + [False] * 10
    assert found.values[:2].tolist() == [[1, 2], [3, 4]] and not found.values[2:].any()
    assert found.rejects == {
        "another number of numbers": 2,
        "a number that is missing or not finite": 5,
        "zeros alone": 1,
    }


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32(), 2), pa.large_list(pa.int16()), pa.list_(pa.float16()), pa.list_(pa.uint8())]
)
def test_lists_of_any_kind_of_number_are_read(kind: pa.DataType, nobody: Interactions) -> None:
    column = pa.array([[1, 2], None, [3, 4]], kind).slice(1)
    encoder, items = fitted(pa.chunked_array([column, column]), nobody, scale="none")
    found = encoder.encode(items)
    assert found.values.tolist() == [[0, 0], [3, 4]] * 2 and found.present.tolist() == [False, True] * 2


def test_scales(nobody: Interactions) -> None:
    cells = [[3.0, 4.0], [0.0, 5.0], [30.0, 0.0], None, [np.nan, 1.0]]
    seen = np.array(cells[:3])
    for scale, expected in {
        "none": seen,
        "size": seen / np.sqrt((25 + 25 + 900) / 3),
        "unit": [[0.6, 0.8], [0, 1], [1, 0]],
        "standard": (seen - seen.mean(0)) / seen.std(0),
    }.items():
        encoder, items = fitted(cells, nobody, scale=scale)
        np.testing.assert_allclose(encoder.encode(items).values[:3], expected, rtol=1e-6, atol=1e-7)


def test_unit_length_of_the_smallest_and_largest_numbers(nobody: Interactions) -> None:
    encoder, items = fitted([[3e-40, 4e-40], [3e38, 3e38], [-1e-30, 0]], nobody, scale="unit")
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(items).values, axis=1), 1, rtol=1e-3)


def test_a_place_that_is_always_the_same_stays_finite(nobody: Interactions) -> None:
    encoder, items = fitted([[1.0, 7.0], [2.0, 7.0]], nobody, scale="standard")
    found = encoder.encode(items)
    assert found.present.all() and (found.values[:, 1] == 0).all()


def test_a_length_that_is_told_is_kept(nobody: Interactions) -> None:
    encoder, items = fitted([[1.0], [2.0], [1.0, 2.0]], nobody, dim=2)
    found = encoder.encode(items)
    assert found.dim == 2 and found.present.tolist() == [False, False, True]
    assert found.rejects == {"another number of numbers": 2}


@pytest.mark.parametrize("column", [["text"], [1.0], [["a"]], [[[1.0]]]])
def test_other_columns_are_said(column: Any, nobody: Interactions) -> None:
    with pytest.raises(DataError, match="lists of numbers"):
        fitted(column, nobody)
