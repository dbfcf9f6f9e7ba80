"""What is told of an item or a user - JSON, as it was put - in the columns that training knew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from tastemaker.data.features import columns
from tastemaker.errors import DataError
from tastemaker.store.base import Item

_TRUE = {True: "true", False: "false"}


def column_of(values: Sequence[Any], like: pa.DataType, separator: str | None = None) -> pa.Array:
    """Values in the type of a column; what does not fit is missing.

    Args:
        values: JSON; None where there is nothing.
        like: the type.
        separator: what parts the values of a text column that holds several: lists are written so.
    """
    try:  # most are what they should be
        if columns.is_list(like):
            return pa.array(values, pa.large_list(like.value_type))
        return pa.array(values, pa.float64() if pa.types.is_floating(like) or pa.types.is_decimal(like) else like)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _fitting(values, like, separator)


def _fitting(values: Sequence[Any], like: pa.DataType, separator: str | None) -> pa.Array:
    """The same value by value."""
    if columns.is_list(like):
        inner = like.value_type
        rows = [None if value is None else value if isinstance(value, list | tuple) else [value] for value in values]
        flat = column_of([one for row in rows for one in row or ()], inner)
        ends, total = [0], 0
        for row in rows:
            total += len(row or ())
            ends.append(total)
        mask = pa.array([row is None for row in rows], pa.bool_())
        return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), flat, mask=mask)
    if columns.is_text(like):
        return pa.array([_text(value, separator) for value in values], like)
    if pa.types.is_boolean(like):
        return pa.array([value if isinstance(value, bool) else None for value in values], like)
    if pa.types.is_integer(like):
        return pa.array([_integer(value, like.bit_width) for value in values], like)
    if pa.types.is_floating(like) or pa.types.is_decimal(like):
        return pa.array([_number(value) for value in values], pa.float64())
    if pa.types.is_timestamp(like) or pa.types.is_date(like):
        return pa.array([_moment(value) for value in values], pa.timestamp("us"))
    return pa.array([None] * len(values), like)


def told_of_item(item: Item, name: str) -> Any:
    """An item's value in a column; its categories are the columns "categories" and "category" where no property is."""
    value = item.properties.get(name)
    if value is None and item.categories and name in ("categories", "category"):
        return list(item.categories) if name == "categories" or len(item.categories) > 1 else item.categories[0]
    return value


def item_table(
    catalogue: pa.Table, separators: Mapping[str, str], items: Sequence[Item], places: Sequence[int] | None = None
) -> pa.Table:
    """Rows of some items, in the columns of a catalogue: `item`, and `item.X` each.

    Args:
        catalogue: what training knew.
        separators: of text columns that hold several values.
        items: as told now.
        places: the row of the catalogue that is to serve instead, where nothing was told of the item; -1 where what is told counts; None:
            it always does.
    """
    places = [-1] * len(items) if places is None else places
    own = [row for row, place in enumerate(places) if place < 0]
    held = pa.array([place for place in places if place >= 0], pa.int64())
    order = [0] * len(items)
    for place, row in enumerate([row for row, place in enumerate(places) if place >= 0] + own):
        order[row] = place
    found: dict[str, Any] = {"item": pa.array([item.item_id for item in items], pa.large_string())}
    for column in catalogue.column_names:
        if column == "item":
            continue
        name, kept = column.removeprefix("item."), columns.whole(catalogue[column])
        told = column_of([told_of_item(items[row], name) for row in own], kept.type, separators.get(name))
        found[column] = (
            told if len(own) == len(items) else pa.concat_arrays([_as(kept.take(held), told.type), told]).take(pa.array(order))
        )
    return pa.table(found)


def readable(items: Sequence[Item], read: Callable[[Sequence[Item]], object]) -> list[Item]:
    """The items, but of those that `read` refuses with a DataError nothing is known any more but their ids."""
    try:
        read(items)
        return list(items)
    except DataError:
        if len(items) == 1:
            return [Item(items[0].item_id)]
        half = len(items) // 2
        return [*readable(items[:half], read), *readable(items[half:], read)]


def user_table(profiles: pa.Table, told: Sequence[Mapping[str, Any]], places: Sequence[int]) -> pa.Table:
    """Rows of some users, in the columns `user.X` of profiles.

    Args:
        profiles: what training knew.
        told: properties as they are now, empty where nobody put any.
        places: the row of the profiles of each that serves in that case; -1: none.
    """
    found: dict[str, Any] = {}
    for column in profiles.column_names:
        name, kept = column.removeprefix("user."), columns.whole(profiles[column])
        fresh = column_of([one.get(name) for one in told], kept.type)
        lent = [row for row, (place, one) in enumerate(zip(places, told, strict=True)) if place >= 0 and not one]
        if lent:
            order = list(range(len(told)))
            for place, row in enumerate(lent):
                order[row] = len(told) + place
            taken = kept.take(pa.array([places[row] for row in lent], pa.int64()))
            fresh = pa.concat_arrays([fresh, _as(taken, fresh.type)]).take(pa.array(order))
        found[column] = fresh
    return pa.table(found)


def _as(column: pa.Array, like: pa.DataType) -> pa.Array:
    return column if column.type == like else column.cast(like, safe=False)


def _text(value: Any, separator: str | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    if isinstance(value, bool):
        return _TRUE[value]
    if isinstance(value, list | tuple):
        return None if separator is None else separator.join(_text(one, None) or "" for one in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    try:
        return str(value) if isinstance(value, int | float) else json.dumps(value)
    except ValueError:  # thousands of digits
        return None


def _integer(value: Any, bits: int) -> int | None:
    try:
        found = int(value)
        fits = float(value) == found and -(1 << (bits - 1)) <= found < 1 << (bits - 1)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if fits else None


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, list | tuple | dict) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _moment(value: Any) -> datetime | int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 1 << 62 else None
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None) if isinstance(value, str) else None
    except ValueError:
        return None
