"""What is told of items and users, in the columns that training knew."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.data.features.told import column_of, item_table, told_of_item, user_table
from tastemaker.store.base import Item


@pytest.mark.parametrize(
    ("like", "values", "expected"),
    [
        (pa.string(), ["a", 1, 2.0, 2.5, True, None, ["a"], {"x": 1}], ["a", "1", "2", "2.5", "true", None, None, '{"x": 1}']),
        (pa.float64(), [1, "2.5", "no", None, True, [1]], [1.0, 2.5, None, None, 1.0, None]),
        (pa.int32(), [1, 2.0, 2.5, "7", "x", 1 << 40, None], [1, 2, None, 7, None, None, None]),
        (pa.bool_(), [True, "true", 1, None], [True, None, None, None]),
        (pa.list_(pa.string()), [["a", "b"], "c", [], None, 3], [["a", "b"], ["c"], [], None, ["3"]]),
        (pa.list_(pa.float32()), [[1, "x"], None], [[1.0, None], None]),
    ],
)
def test_values_take_the_type_of_their_column(like: pa.DataType, values: list[Any], expected: list[Any]) -> None:
    assert column_of(values, like).to_pylist() == expected


def test_lists_are_written_as_the_column_writes_them() -> None:
    assert column_of([["a", "b"], "c"], pa.string(), "|").to_pylist() == ["a|b", "c"]


def test_times_are_read_as_iso_8601() -> None:
    (found, bad) = column_of(["2024-05-01T12:00:00", "soon"], pa.timestamp("us")).to_pylist()
    assert found.year == 2024 and bad is None


def test_categories_are_a_column_where_no_property_is() -> None:
    item = Item("a", {"colour": "red"}, ("x", "y"))
    assert told_of_item(item, "categories") == ["x", "y"] and told_of_item(item, "category") == ["x", "y"]
    assert told_of_item(Item("a", {"category": "z"}, ("x",)), "category") == "z"
    assert told_of_item(Item("a", {}, ("x",)), "category") == "x" and told_of_item(item, "size") is None


def test_items_of_which_nothing_is_told_are_as_training_knew_them() -> None:
    catalogue = pa.table({"item": ["p", "q"], "item.colour": ["red", "blue"], "item.price": pa.array([1, 2], pa.int64())})
    items = [Item("q"), Item("new", {"colour": "green", "price": 9}), Item("p", {"price": 4}), Item("r")]
    found = item_table(catalogue, {}, items, [1, -1, -1, -1])
    assert found.to_pydict() == {
        "item": ["q", "new", "p", "r"],
        "item.colour": ["blue", "green", None, None],
        "item.price": [2, 9, 4, None],
    }


def test_users_of_whom_nothing_is_told_are_as_training_knew_them() -> None:
    profiles = pa.table({"user.age": pa.array([20, 30], pa.int32()), "user.city": ["Rome", "Oslo"]})
    found = user_table(profiles, [{}, {"city": "Lima"}, {}], [1, 0, -1])
    assert found.to_pydict() == {"user.age": [30, None, None], "user.city": ["Oslo", "Lima", None]}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
TYPES = (
    pa.string(),
    pa.float64(),
    pa.int8(),
    pa.bool_(),
    pa.list_(pa.string()),
    pa.list_(pa.float32()),
    pa.timestamp("us"),
    pa.date32(),
)


@given(values=st.lists(VALUES, max_size=6), like=st.sampled_from(TYPES), separator=st.none() | st.just("|"))
def test_whatever_is_told_there_is_a_column(values: list[Any], like: pa.DataType, separator: str | None) -> None:
    assert len(column_of(values, like, separator)) == len(values)


def test_numbers_of_thousands_of_digits_are_missing() -> None:
    assert column_of([10**5000, 10**400], pa.string()).to_pylist()[0] is None
    assert column_of([10**5000, 1], pa.float64()).to_pylist() == [None, 1.0]
