"""Labelled rows: what a ranker learns from. A table of whatever was known when something was shown, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from tastemaker.data.catalogue import read_table
from tastemaker.data.features import columns
from tastemaker.data.io import Sources
from tastemaker.errors import ConfigError, DataError
from tastemaker.settings import Settings

Share = Annotated[float, Field(ge=0, lt=1)]


class RowsConfig(Settings):
    """The `[data]` section of a ranker: where the rows are and which columns are answers.

    A source is what `[data] events` of a retrieval model may be: a file, a pattern of files, or a database table.
    """

    rows: str | list[str] | None = Field(None, description="one source of rows, or several")
    label: str | tuple[str, ...] | dict[str, float | str] = Field(
        "label",
        description="the column that is predicted; several columns are several tasks; a table says of each which values are positive, such as "
        "{ clicked = 1, stars = 4, state = 'sold' }: a number and more, or that text",
    )
    positive: float | str | None = Field(
        None, description="the same for one label, or all; default: labels are 0/1, -1/1 or true/false"
    )
    classes: bool = Field(False, description="the label is one of a few classes in order, such as 1 to 5 stars, not 0 or 1")
    weight: str | None = Field(None, description="a column of how much each row counts, in training and in metrics")
    group: str | None = Field(
        None, description="rows alike in this column were shown together, or to one user: for listwise losses, grouped AUC"
    )
    time: str | None = Field(None, description="when the row was shown: for split.kind = 'by_time'")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.classes and (self.positive is not None or not isinstance(self.label, str)):
            raise ValueError("one label, without positive, where classes is set")
        if self.positive is not None and isinstance(self.label, dict):
            raise ValueError("positive values in data.label or in data.positive, not in both")
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError("one or more different columns in label")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The label columns."""
        return (self.label,) if isinstance(self.label, str) else tuple(self.label)

    def positive_of(self, name: str) -> float | str | None:
        """Which values of a label are positive, None where it holds nothing but 0 and 1."""
        return self.label[name] if isinstance(self.label, dict) else self.positive


class RowSplitConfig(Settings):
    """The `[split]` section of a ranker."""

    kind: Literal["by_share", "by_time", "given"] = Field(
        "by_share", description="by_share: at random; by_time: the newest rows are asked for; given: a source for each side"
    )
    train: str | None = Field(None, description="of given")
    validation: str | None = Field(None, description="of given; without one, `validation_share` of train is kept apart")
    test: str | None = Field(None, description="of given")
    test_share: Share = Field(0.1, description="of all rows")
    validation_share: Share = Field(0.1, description="of all rows")
    seed: int = Field(0, ge=0, description="of the draw")

    @model_validator(mode="after")
    def _sources(self) -> Self:
        given = [name for name in ("train", "validation", "test") if getattr(self, name) is not None]
        if self.kind == "given" and not (self.train and self.test):
            raise ValueError("train and test where kind is 'given'")
        if self.kind != "given" and given:
            raise ValueError(f"kind = 'given' where {given[0]} is set")
        if self.test_share + self.validation_share >= 1:
            raise ValueError("shares that leave rows to learn from")
        return self


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows of one side."""

    table: pa.Table
    """all columns as they were read, labels included"""
    labels: np.ndarray
    """float32 (rows, labels): 0, 1, NaN where not known; with classes (rows, 1): the class's place"""
    weights: np.ndarray | None = None
    """float32 (rows,)"""
    groups: np.ndarray | None = None
    """int64 (rows,): equal where shown together"""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> LabelledRows:
        """The given rows, in that order."""
        weights, groups = (None if part is None else part[rows] for part in (self.weights, self.groups))
        return LabelledRows(self.table.take(rows), self.labels[rows], weights, groups)


@dataclass(frozen=True, eq=False)
class RowSplit:
    """Rows to learn from, to choose by and to be judged on."""

    train: LabelledRows
    validation: LabelledRows
    test: LabelledRows
    outputs: tuple[str, ...]
    """names of the labels, or of the classes of one label"""
    not_features: tuple[str, ...]
    """columns that are answers or weights, and must not be read as features"""
    notes: list[str] = field(default_factory=list)

    @property
    def sides(self) -> dict[str, LabelledRows]:
        """By name, in order."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load_rows(config: RowsConfig, split: RowSplitConfig, base: Path | None = None) -> RowSplit:
    """Reads the rows and parts them.

    Raises:
        ConfigError: no source, or two; a column that the way of splitting needs is not named.
        DataError: a source cannot be read, a named column is not there, or labels are not what they are said to be.
    """
    if (config.rows is None) != (split.kind == "given"):
        raise ConfigError(
            "data.rows beside split.kind = 'given'" if config.rows else "no data.rows",
            expected="data.rows, or split.kind = 'given' with split.train and split.test",
        )
    if split.kind == "by_time" and config.time is None:
        raise ConfigError("split.kind = 'by_time' without data.time", expected="the column that says when a row was shown")
    with Sources(base=base) as sources:
        if split.kind == "given":
            named = {name: getattr(split, name) for name in ("train", "validation", "test")}
            tables = {name: read_table(sources, source, name) for name, source in named.items() if source is not None}
        else:
            tables = {"rows": read_table(sources, config.rows, "rows")}
    lengths = [len(table) for table in tables.values()]
    table = pa.concat_tables(tables.values(), promote_options="permissive") if len(tables) > 1 else next(iter(tables.values()))
    if not len(table):
        raise DataError("no rows", expected="at least one row")
    rows, outputs, notes = _labelled(table, config)
    if split.kind == "given":
        ends = np.cumsum(lengths)
        sides = dict(zip(tables, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))
        if "validation" not in sides:
            order = np.random.default_rng(split.seed).permutation(lengths[0])
            count = int(split.validation_share * lengths[0])
            sides["validation"], sides["train"] = np.sort(order[:count]), np.sort(order[count:])
    else:
        sides = _parted(table, config, split)
    for name, places in sides.items():
        if not len(places) and not (name == "validation" and split.validation_share == 0):
            raise DataError(f"the {name} side has no rows", expected="rows on every side", hint="see [split]")
    excluded = tuple(dict.fromkeys((*config.labels, *([config.weight] if config.weight else []))))
    taken = {name: rows.take(places) for name, places in sides.items()}
    return RowSplit(taken["train"], taken["validation"], taken["test"], outputs, excluded, notes)


def _parted(table: pa.Table, config: RowsConfig, split: RowSplitConfig) -> dict[str, np.ndarray]:
    """Places of each side, ascending."""
    rows = len(table)
    test, validation = (int(share * rows) for share in (split.test_share, split.validation_share))
    if split.kind == "by_time":
        assert config.time is not None
        times = columns.microseconds(columns.whole(_column(table, config.time, "time")), config.time)
        if np.isnan(times).any():
            raise DataError(
                f"{int(np.isnan(times).sum()):,} rows without a time in {config.time!r}", expected="a time in every row"
            )
        order = np.argsort(times, kind="stable")
    else:
        order = np.random.default_rng(split.seed).permutation(rows)
    ends = (rows - test - validation, rows - test)
    parts = zip(("train", "validation", "test"), np.split(order, ends), strict=True)
    return {name: np.sort(places) for name, places in parts}


def _labelled(table: pa.Table, config: RowsConfig) -> tuple[LabelledRows, tuple[str, ...], list[str]]:
    notes: list[str] = []
    if config.classes:
        ids = columns.ids(columns.whole(_column(table, config.labels[0], "label")))
        known = pc.unique(ids.drop_null()).sort()
        if ids.null_count or not 2 <= len(known) <= 100:
            raise DataError(f"{len(known)} classes, {ids.null_count} rows without one", expected="2 to 100 classes, one a row")
        labels = pc.index_in(ids, known).to_numpy(zero_copy_only=False).astype(np.float32)[:, None]
        outputs = tuple(str(name) for name in known.to_pylist())
    else:
        labels = np.stack([_binary(table, name, config.positive_of(name)) for name in config.labels], axis=1)
        outputs = config.labels
    weights = groups = None
    if config.weight:
        weights = columns.numbers(columns.whole(_column(table, config.weight, "weight")), config.weight).astype(np.float32)
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise DataError(
                f"weights in {config.weight!r} that are missing or below 0", expected="a weight of 0 or more in every row"
            )
    if config.group:
        encoded = columns.ids(columns.whole(_column(table, config.group, "group"))).dictionary_encode("encode")
        groups = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return LabelledRows(table, labels, weights, groups), outputs, notes


def _binary(table: pa.Table, name: str, positive: float | str | None) -> np.ndarray:
    column = columns.whole(_column(table, name, "label"))
    if isinstance(positive, str):
        texts = columns.ids(column).cast(pa.large_string())
        hits = pc.equal(texts, positive).cast(pa.float32())
        if not pc.any(pc.equal(texts, positive)).as_py():
            known = pc.unique(texts.drop_null()).to_pylist()
            raise DataError(
                f"no {positive!r} in the label {name!r}",
                expected=f"one of its values, such as {', '.join(map(repr, known[:5]))}",
            )
        return hits.fill_null(float("nan")).to_numpy(zero_copy_only=False).astype(np.float32)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if columns.is_text(column.type) and positive is None and not _is_numeric(column):
        known = pc.unique(columns.ids(column).drop_null()).to_pylist()
        raise DataError(
            f"the label {name!r} holds {', '.join(map(repr, known[:3]))}",
            expected="0 and 1, -1 and 1, or true and false",
            hint=f"set data.positive = {str(known[0])!r}, or data.classes = true",
        )
    values = columns.numbers(column, name)
    if positive is not None:
        return np.where(np.isnan(values), np.nan, values >= positive).astype(np.float32)
    found = set(np.unique(values[~np.isnan(values)]).tolist())
    if found <= {-1.0, 1.0} and -1.0 in found:
        values = (values + 1) / 2
    elif not found <= {0.0, 1.0}:
        example = min(found - {0.0, 1.0})
        raise DataError(
            f"the label {name!r} holds {example:g}",
            expected="0 and 1, -1 and 1, or true and false",
            hint="set data.positive = 4 to make 4 and more positive, or data.classes = true",
        )
    return values.astype(np.float32)


def _is_numeric(column: pa.Array) -> bool:
    return bool(pc.all(pc.match_substring_regex(column.drop_null(), r"^(-?[0-9.]+|)$")).as_py())


def _column(table: pa.Table, name: str, role: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(
            f"columns {', '.join(table.column_names)}", expected=f"the {role} column {name!r}", hint=f"see data.{role}"
        )
    return table[name]
