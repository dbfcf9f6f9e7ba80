"""Arrow columns brought to the few forms that fields are learned from: ids, float64, µs and lists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.errors import DataError

_UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (np.inf, 1e-3))
"""Sizes of numbers that are seconds, milliseconds, microseconds and nanoseconds, and what brings them to µs."""


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The column in one piece, dictionaries resolved."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def is_text(kind: pa.DataType) -> bool:
    """Whether values are texts."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_list(kind: pa.DataType) -> bool:
    """Whether values are lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def ids(column: pa.Array) -> pa.Array:
    """int64 or text; null where there is nothing (an empty text, NaN). Numbers with fractions become text, true and false too."""
    kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        values = column.drop_null()
        small = not len(values) or pc.max(pc.abs(values)).as_py() < 2**53
        if small and pc.all(pc.equal(pc.floor(values), values)).as_py() is not False:
            return column.cast(pa.int64())
        return column.cast(pa.large_string())
    if is_text(kind):
        column = column.cast(pa.large_string())
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.large_string()), column)
    if pa.types.is_null(kind):
        return column.cast(pa.large_string())
    try:
        return column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(f"values of type {kind}", expected="text, integers, true or false as categories") from None


def numbers(column: pa.Array | np.ndarray, name: str) -> np.ndarray:
    """float64 (rows,): NaN where there is nothing or no finite number.

    Raises:
        DataError: text that is no number; the first such value is named.
    """
    if isinstance(column, np.ndarray):
        found = column.astype(np.float64)
        found[~np.isfinite(found)] = np.nan
        return found
    if is_text(column.type):
        column = column.cast(pa.large_string())
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.large_string()), column)
    try:
        found = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"column {name!r}: {error}", expected="numbers", hint=f'[features.fields] {name} = {{ kind = "category" }}'
        ) from None
    found = np.array(found, dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def microseconds(column: pa.Array, name: str) -> np.ndarray:
    """float64 (rows,): µs since 1970 UTC, NaN where there is no time. Numbers are seconds, ms, µs or ns by their size.

    Raises:
        DataError: text that is no ISO 8601 time.
    """
    kind = column.type
    if is_text(kind):
        for wanted in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
            try:
                column = column.cast(pa.string()).cast(wanted)
                break
            except pa.ArrowInvalid as error:
                told = error
        else:
            raise DataError(f"column {name!r}: {told}", expected="ISO 8601 times, or epoch numbers") from None
        kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        values = column.cast(pa.timestamp("us", getattr(kind, "tz", None))).cast(pa.int64())
        return np.array(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    found = numbers(column, name)
    size = np.abs(found)
    factor = np.select([size < most for most, _ in _UNITS], [factor for _, factor in _UNITS], 1.0)
    return found * factor


def lists(column: pa.Array, separator: str | None, name: str) -> tuple[pa.Array, np.ndarray]:
    """The values of all rows one after the other, and int64 (rows + 1,) where each row's begin; nulls and empty texts are left out.

    Raises:
        DataError: neither a list column nor text with a separator.
    """
    if is_text(column.type):
        if separator is None:
            raise DataError(
                f"column {name!r} holds plain text",
                expected="lists, or a separator",
                hint=f'[features.fields] {name} = {{ separator = "|" }}',
            )
        column = pc.split_pattern(column.cast(pa.large_string()), separator)
    elif not is_list(column.type):
        raise DataError(f"column {name!r} of type {column.type}", expected="lists, or text with a separator")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = pc.list_flatten(column)
    if is_text(values.type):
        values = pc.utf8_trim_whitespace(values)
    values = ids(values)
    kept = pc.is_valid(values).to_numpy(zero_copy_only=False)
    if not kept.all():
        rows = np.repeat(np.arange(len(lengths)), lengths)
        lengths = np.bincount(rows[kept], minlength=len(lengths))
        values = values.drop_null()
    return values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
