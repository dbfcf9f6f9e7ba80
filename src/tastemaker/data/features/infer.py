"""What a column means, guessed from its training values; every guess is told and can be overruled."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.data.features import columns
from tastemaker.data.features.config import FieldConfig

_SAMPLE = 100_000
_FEW = 50
"""Distinct integers that are still taken for categories."""
_SEPARATORS = ("|", ";", ",")


@dataclass(frozen=True)
class Guess:
    """What a column was taken for, or None where it is not read, and why."""

    config: FieldConfig | None
    why: str


def guess(name: str, column: pa.Array, given: FieldConfig, min_count: int) -> Guess:
    """The meaning of a column, given what its user said of it."""
    if given.kind is not None:
        return Guess(_filled(given, given.kind, min_count), "as configured")
    sample = column.slice(0, _SAMPLE)
    valid = sample.drop_null()
    if not len(valid):
        return Guess(None, "no values in training")
    kind, why, extra = _kind(name, valid)
    for key in given.model_fields_set:  # a setting of one kind says which kind is meant
        kind = {"scale": "number", "buckets": "number", "separator": "categories", "shares": "sequence"}.get(key, kind)
    if kind is None:
        return Guess(None, why)
    return Guess(_filled(given, kind, min_count, **extra), why)


def _filled(given: FieldConfig, kind: str, min_count: int, **extra: str) -> FieldConfig:
    values = {"kind": kind} | extra | given.model_dump(exclude_unset=True, exclude_none=True) | {"kind": kind}
    if kind in ("category", "categories") and "min_count" not in given.model_fields_set:
        values["min_count"] = min_count
    return FieldConfig.parse(values, "features.fields")


def _kind(name: str, values: pa.Array) -> tuple[str | None, str, dict[str, str]]:
    kind = values.type
    if columns.is_list(kind):
        inner = kind.value_type
        if pa.types.is_floating(inner):
            lengths = pc.unique(pc.list_value_length(values))
            return (
                ("vector", "lists of as many numbers", {})
                if len(lengths) == 1
                else (None, "lists of numbers of different length", {})
            )
        return "categories", "lists", {}
    distinct = pc.count_distinct(columns.ids(values)).as_py() if not pa.types.is_timestamp(kind) else 2
    if distinct == 1:
        return None, "the same in every row", {}
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time", "dates or timestamps", {}
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return ("category", f"{distinct} different whole numbers", {}) if distinct <= 2 else ("number", "numbers", {})
    if pa.types.is_integer(kind):
        if distinct <= _FEW or _is_id(name):
            return "category", f"{distinct:,} different integers", {}
        if len(values) > _FEW and distinct == len(values):
            return None, "another integer in every row: a row number", {}
        if pc.min(values).as_py() > 500_000_000 and _is_time(name):
            return "time", "epoch numbers", {}
        return "number", f"{distinct:,} different integers", {}
    if not columns.is_text(kind):
        return "category", f"values of type {kind}", {}
    if _all_match(values, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+(Z|[+-][0-9:]+)?)?$"):
        return "time", "ISO 8601 times", {}
    for separator in _SEPARATORS:
        if (found := _several(values, separator, distinct)) is not None:
            return "categories", found, {"separator": separator}
    if len(values) > _FEW and distinct > 0.5 * len(values) and not _is_id(name):
        words = pc.mean(pc.list_value_length(pc.utf8_split_whitespace(values.cast(pa.large_string())))).as_py()
        if words > 3:
            return None, f"free text, {words:.0f} words a row", {}
        if distinct == len(values):
            return None, "another text in every row", {}
    return "category", f"{distinct:,} different texts", {}


def _several(values: pa.Array, separator: str, distinct: int) -> str | None:
    """Why these are lists in text: a fifth of the rows holds the separator, and there are half as many different parts as wholes, or fewer."""
    holding = pc.mean(pc.match_substring(values, separator).cast(pa.float64())).as_py()
    if holding < 0.2:
        return None
    parts = pc.count_distinct(pc.utf8_trim_whitespace(pc.list_flatten(pc.split_pattern(values, separator)))).as_py()
    return f"{parts:,} different parts, separated by {separator!r}" if 2 * parts <= distinct else None


def _all_match(values: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _is_id(name: str) -> bool:
    plain = name.lower()
    return plain in ("user", "item", "id") or plain.endswith(("id", "_code", "code"))


def _is_time(name: str) -> bool:
    return any(word in name.lower() for word in ("time", "date", "stamp", "_at"))
