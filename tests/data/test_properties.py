"""Properties as columns."""

from __future__ import annotations

import pyarrow as pa

from tastemaker.data.properties import PROPERTIES, item_columns, user_columns
from tastemaker.store.base import Item, User


def test_properties_of_any_shape_become_columns_of_one_type() -> None:
    items = [
        Item("a", {"n": 1, "b": True, "t": "x", "m": 1, "l": ["p", 2], "Big": 10**400, "x\0": 1, "o": {"k": 1}}),
        Item("b", {"n": 2.5, "b": None, "t": None, "m": "one", "l": "q", "big": 7, "item_id": "c", "s": "\ud800"}),
    ]
    table = item_columns(items)
    assert table.schema.field("n").type == table.schema.field("Big").type == pa.float64()
    assert table.to_pylist()[1] == {
        "item_id": "b",
        "categories": [],
        "n": 2.5,
        "b": None,
        "t": None,
        "m": "one",
        "l": ["q"],
        "Big": None,
        "o": None,
        "s": "?",
    }
    assert (table.to_pylist()[0]["m"], table.to_pylist()[0]["o"]) == ("1", '{"k": 1}')


def test_users_have_the_properties_that_most_have() -> None:
    users = [User("u", {f"p{n}": n for n in range(PROPERTIES + 5)}), User("v", {"p70": 1, "p71": 2, "User_Id": 3})]
    table = user_columns(users)
    assert table.column_names[0] == "user_id" and table.num_columns == PROPERTIES + 1
    assert table["user_id"].to_pylist() == ["u", "v"] and "User_Id" not in table.column_names
