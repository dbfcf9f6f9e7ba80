"""Attributes of items and users: any columns, aligned with a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.data.config import DataConfig
from tastemaker.data.io import POSITION, Scan, Sources, reading
from tastemaker.data.meaning import detect, named_column
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.errors import DataError

_TITLES = ("title", "name", "item_name", "product_name", "product_title", "movie_title", "headline", "label", "description")


def item_name_column(catalogue: pa.Table) -> str | None:
    """The catalogue's column that names items for people: title, name, description…; None where there is none."""
    plain = {name.lower().replace(" ", "_"): name for name in reversed(catalogue.column_names)}
    found = (plain[title] for title in _TITLES if title in plain)
    return next((name for name in found if _is_text(catalogue[name].type)), None)


def read_attributes(sources: Sources, source: Any, role: str, config: DataConfig) -> tuple[pa.Array, pa.Table, int]:
    """Ids (no nulls, no repeats: the first row of an id stays), their table without the id column, and the number of rows left out.

    `role` is "items" or "users". The id column is the one the events' mapping names, if it is there, else found by its name.

    Raises:
        DataError: the source cannot be read, or no id column can be found.
    """
    scans, table = _read(sources, source, role)
    key = _key(scans[0], role[:-1], config)
    ids = table[key].combine_chunks()
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks)
    if pa.types.is_floating(ids.type):
        ids = ids.cast(pa.int64(), safe=False)
    elif not pa.types.is_integer(ids.type):
        ids = ids.cast(pa.string())
    first = pa.table({"id": ids, "row": pa.array(np.arange(len(ids)))}).filter(pc.is_valid(ids))
    rows = first.group_by("id", use_threads=False).aggregate([("row", "min")])["row_min"].combine_chunks().sort()
    left_out = len(ids) - len(rows)
    return ids.take(rows), table.drop_columns([key]).take(rows), left_out


def read_table(sources: Sources, source: Any, role: str) -> pa.Table:
    """All rows and columns of a source, in its order; text columns that hold nothing but numbers become numbers.

    Raises:
        DataError: the source, or a row of it, cannot be read.
    """
    return _read(sources, source, role)[1]


def _read(sources: Sources, source: Any, role: str) -> tuple[list[Scan], pa.Table]:
    scans = sources.open(source, role)
    tables = []
    for scan in scans:
        with reading(scan.name):
            table, rejects = scan.read(list(scan.columns))
            if POSITION in table.columns:
                table = table.order_by(POSITION).drop(POSITION)
            rows = table.to_pyarrow()
        if rejects:
            bad = rejects[0]
            raise DataError(f"{scan.name}: {bad.rows} rows with {bad.reason} ({bad.example})", expected=f"readable {role}")
        tables.append(_typed(rows) if scan.text else rows)
    return scans, pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]


def aligned(vocabulary: Vocabulary, ids: pa.Array, table: pa.Table, left_out: int) -> tuple[pa.Table, dict[str, int]]:
    """A row per place of the vocabulary (nulls where an id has none), and the counts for the report."""
    wanted = vocabulary.ids
    if pa.types.is_integer(wanted.type) and not pa.types.is_integer(ids.type):
        wanted = wanted.cast(pa.string())
    elif not pa.types.is_integer(wanted.type):
        ids, wanted = ids.cast(pa.large_string()), wanted.cast(pa.large_string())
    else:
        ids = ids.cast(pa.int64())
    places = pc.index_in(wanted, ids)
    matched = len(places) - places.null_count
    counts = {
        "rows": len(ids) + left_out,
        "matched": matched,
        "without_events": len(ids) - matched,
        "missing": places.null_count,
        "repeated_or_without_id": left_out,
    }
    return table.take(places), counts


def _key(scan: Scan, role: str, config: DataConfig) -> str:
    wish = getattr(config.columns, role)
    if wish and wish in scan.columns:
        return wish
    found = detect(role, scan.columns) or ("id" if "id" in scan.columns else None)
    if found is None:
        return named_column(role, wish or f"{role}_id", scan)
    return found


def _typed(table: pa.Table) -> pa.Table:
    """Text columns that hold nothing but integers, or numbers, become such; codes such as 007 stay text."""
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            for kind, pattern in (
                (pa.int64(), r"^(0|-?[1-9][0-9]{0,17})$"),
                (pa.float64(), r"^-?(0|[1-9][0-9]*)([.][0-9]+)?$"),
            ):
                if column.null_count < len(column) and pc.all(pc.match_substring_regex(column, pattern)).as_py():
                    column = column.cast(kind)
                    break
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
