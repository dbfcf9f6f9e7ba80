"""FeatureEncoder: fields fitted on training rows; the same object turns rows into numbers offline and online."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich import box
from rich.table import Table

from tastemaker.data.features import columns
from tastemaker.data.features.config import FeaturesConfig, FieldConfig
from tastemaker.data.features.encoded import Bag, Features
from tastemaker.data.features.fitted import Buckets, Category, Cross, Field, Many, Number, Numbers, Time, Vector, restored
from tastemaker.data.features.infer import guess
from tastemaker.data.schema import FieldSchema
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.errors import ArtifactError, ConfigError, DataError

_FORMAT = 1
_OPEN = FieldConfig.parse({})
_SIMPLE: dict[str, Any] = {"category": Category, "number": Number, "vector": Vector, "time": Time}


@dataclass(frozen=True, eq=False)
class FeatureEncoder:
    """What the columns of rows mean, learned from training rows.

    A category that training did not hold has code 1, a missing value code 0 (a number NaN), in every field; so a row that lacks
    everything can be encoded.
    """

    fields: tuple[Field, ...]
    config: FeaturesConfig
    """with every choice made: fitting with it again gives the same fields"""
    notes: tuple[str, ...] = ()
    """"column: what it was taken for", for each column that the config did not settle"""

    @classmethod
    def fit(cls, table: pa.Table, config: FeaturesConfig, *, but: Sequence[str] = ()) -> FeatureEncoder:
        """Learns fields from training rows, all columns but those in `but` (labels, weights).

        Raises:
            ConfigError: the config names a column that is not there, or one of the wrong kind for a cross.
            DataError: a column does not hold what it is said to, or no column is left.
        """
        _check_names(table.column_names, config)
        if config.position is not None:
            table, config = _placed(table, config)
        settled: dict[str, FieldConfig] = {}
        fields: dict[str, Field] = {}
        notes, unread = [], list(config.leave_out)
        names = [name for name in table.column_names if name not in but and name not in config.leave_out]
        names.sort(key=lambda name: (given := config.fields.get(name)) is not None and given.shares is not None)
        for name in names:
            column = columns.whole(table[name])
            found = guess(name, column, config.fields.get(name, _OPEN), config.min_count)
            if name not in config.fields or config.fields[name].kind is None:
                notes.append(f"{name}: {found.config.kind if found.config else 'not read'} ({found.why})")
            if found.config is None:
                unread.append(name)
                continue
            settled[name], fields[name] = found.config, _fitted(name, column, found.config, fields)
        fields = {name: fields[name] for name in table.column_names if name in fields}
        if not fields:
            raise DataError("no column to learn from", expected="at least one field", hint="see [features.fields]")
        for parts in config.crosses:
            cross = _crossed(parts, fields, table, config.min_count)
            fields[cross.name] = cross
        final = config.model_copy(update={"fields": settled, "leave_out": tuple(unread)})
        return cls(tuple(fields.values()), final, tuple(notes))

    @property
    def schema(self) -> tuple[FieldSchema, ...]:
        """What a ranker needs to know of each field, in order."""
        return tuple(field.schema for field in self.fields)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read when asked: `config.position` is not."""
        return tuple(field.name for field in self.fields if not isinstance(field, Cross) and field.name != self.config.position)

    def encode(self, table: pa.Table, *, shown: bool = False) -> Features:
        """The rows as numbers. The position, if there is one, is not read: it is `config.position_served` in every row.

        Args:
            table: with every column of `columns`.
            shown: reads the position, as rows were shown: to learn from them, not to ask about them.

        Raises:
            DataError: a column is not there, or does not hold what it is said to.
        """
        if self.config.position is not None:
            table = _with_position(table, self.config, shown=shown)
        if missing := [name for name in self.columns if name not in table.column_names]:
            raise DataError(
                f"no column {missing[0]!r} in {', '.join(table.column_names)}",
                expected=f"the columns {', '.join(self.columns)}",
            )
        read = [field.name for field in self.fields if not isinstance(field, Cross)]
        return self.encode_columns({name: columns.whole(table[name]) for name in read}, len(table))

    def encode_columns(
        self, given: Mapping[str, pa.Array | np.ndarray], rows: int, made: Mapping[str, Bag] | None = None
    ) -> Features:
        """As `encode`, of columns that are there, Arrow or NumPy; those in `made` are encoded already."""
        codes: dict[str, np.ndarray] = {}
        vectors: list[np.ndarray] = []
        bags: list[Bag] = []
        for field in self.fields:
            if isinstance(field, Number):
                continue
            if isinstance(field, Cross):
                codes[field.name] = field.encode([codes[part] for part in field.parts])
                continue
            if made and field.name in made:
                bags.append(made[field.name])
                continue
            column = given[field.name]
            if isinstance(field, Buckets):
                codes[field.name] = field.encode(column)
                continue
            if isinstance(column, np.ndarray):
                column = pa.array(column)
            if isinstance(field, Category):
                codes[field.name] = field.encode(column)
            elif isinstance(field, Many):
                bags.append(field.encode(column))
            else:
                vectors.append(field.encode(column))
        numbers = self._numbers
        return Features(
            np.stack(list(codes.values()), axis=1) if codes else np.zeros((rows, 0), np.int32),
            numbers.encode([given[name] for name in numbers.names]) if numbers.names else np.zeros((rows, 0), np.float32),
            tuple(vectors),
            tuple(bags),
        )

    @cached_property
    def _numbers(self) -> Numbers:
        return Numbers([field for field in self.fields if isinstance(field, Number)])

    def only(self, names: Sequence[str]) -> FeatureEncoder:
        """The fields of these columns alone, and crosses of nothing but them."""
        kept = [
            field
            for field in self.fields
            if (set(field.parts) <= set(names) if isinstance(field, Cross) else field.name in names)
        ]
        return FeatureEncoder(tuple(kept), self.config)

    def described(self) -> Table:
        """The fields as a table for people."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("field", "kind", "size"):
            table.add_column(name, justify="right" if name == "size" else "left")
        for field in self.fields:
            schema = field.schema
            of = f" of {schema.shares}" if schema.shares else ""
            table.add_row(field.name, f"{field.kind}{of}", f"{schema.size:,}" if schema.kind != "number" else "")
        return table

    def save(self, path: Path | str) -> None:
        """Writes one Arrow file."""
        Path(path).write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The content of the file that `save` writes."""
        held = [getattr(field, "vocabulary", Vocabulary(np.zeros(0, np.int64))) for field in self.fields]
        facts = {"format": _FORMAT, "config": self.config.model_dump(mode="json", exclude_none=True), "notes": list(self.notes)}
        table = pa.table(
            {
                "name": [field.name for field in self.fields],
                "kind": [field.kind for field in self.fields],
                "state": [json.dumps(field.state()) for field in self.fields],
                "integers": [pa.types.is_integer(vocabulary.ids.type) for vocabulary in held],
                "ids": pa.array(
                    [vocabulary.ids.cast(pa.large_string()).to_pylist() for vocabulary in held],
                    pa.large_list(pa.large_string()),
                ),
            }
        ).replace_schema_metadata({"features": json.dumps(facts)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> FeatureEncoder:
        """The inverse of `save`.

        Raises:
            ArtifactError: no such file, or not what `save` wrote.
        """
        try:
            with pa.memory_map(str(path), "r") as source:
                return cls.of_bytes(source.read_buffer(), Path(path).name)
        except OSError as error:
            raise ArtifactError(f"cannot read {Path(path).name}: {error}", expected="features as they were saved") from None

    @classmethod
    def of_bytes(cls, content: bytes | pa.Buffer, name: str = "features") -> FeatureEncoder:
        """The inverse of `to_bytes`; `name` stands in errors.

        Raises:
            ArtifactError: not what `to_bytes` gave.
        """
        try:
            table = pa.ipc.open_file(content).read_all()
            facts = json.loads(table.schema.metadata[b"features"])
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"cannot read {name}: {error}", expected="features as they were saved") from None
        if facts["format"] > _FORMAT:
            raise ArtifactError(
                f"features of format {facts['format']}", expected=f"format ≤ {_FORMAT}", hint="update tastemaker"
            )
        fields = []
        for place in range(len(table)):
            ids = columns.whole(table["ids"].slice(place, 1)).flatten()
            if table["integers"][place].as_py():
                ids = ids.cast(pa.int64())
            name, kind, state = (table[key][place].as_py() for key in ("name", "kind", "state"))
            fields.append(restored(kind, name, json.loads(state), Vocabulary(ids)))
        return cls(tuple(fields), FeaturesConfig.parse(facts["config"], "features"), tuple(facts["notes"]))


def _check_names(names: Sequence[str], config: FeaturesConfig) -> None:
    wanted = [(name, f"features.fields.{name}") for name in config.fields]
    wanted += [(name, "features.leave_out") for name in config.leave_out]
    wanted += [(config.position, "features.position")] if config.position is not None else []
    wanted += [(name, "features.crosses") for cross in config.crosses for name in cross]
    for name, where in wanted:
        if name not in names:
            raise ConfigError(f"{where}: no column {name!r}", expected=f"one of {', '.join(names)}")


def _placed(table: pa.Table, config: FeaturesConfig) -> tuple[pa.Table, FeaturesConfig]:
    """The table with its positions as numbers, and the config with what they are when asked and of which kind, if it left that open."""
    name = str(config.position)
    table = _with_position(table, config, shown=True)
    found = table[name].drop_null()
    if not len(found):
        raise DataError(f"no position in {name!r}", expected="the place at which rows were shown")
    served = pc.min(found).as_py() if config.position_served is None else config.position_served
    given = config.fields.get(name, _OPEN)
    fields = config.fields | {name: given if given.kind else given.model_copy(update={"kind": "category"})}
    return table, config.model_copy(update={"fields": fields, "position_served": served})


def _with_position(table: pa.Table, config: FeaturesConfig, *, shown: bool) -> pa.Table:
    """The table with a column of positions: as rows were shown, or all the same."""
    name = str(config.position)
    there = name in table.column_names
    if shown and not there:
        raise DataError(f"no column {name!r} in {', '.join(table.column_names)}", expected="the place at which rows were shown")
    if shown:
        found = pa.array(columns.numbers(columns.whole(table[name]), name), from_pandas=True)
    else:
        found = pa.array(np.full(len(table), config.position_served, np.float64))
    if there:
        return table.set_column(table.column_names.index(name), name, found)
    return table.append_column(name, found)


def _fitted(name: str, column: pa.Array, config: FieldConfig, known: dict[str, Field]) -> Field:
    if config.kind in ("categories", "sequence"):
        shared = None
        if config.shares is not None:
            other = known.get(config.shares)
            if not isinstance(other, Category):
                raise ConfigError(
                    f"features.fields.{name}.shares = {config.shares!r}", expected="the name of a category column that is read"
                )
            shared = other.vocabulary
        return Many.fit(name, column, config, shared)
    if config.kind == "number" and config.scale == "buckets":
        return Buckets.fit(name, column, config)
    if config.kind == "vector" and not columns.is_list(column.type):
        raise DataError(f"column {name!r} of type {column.type}", expected="lists of numbers as vectors")
    return _SIMPLE[str(config.kind)].fit(name, column, config)


def _crossed(parts: tuple[str, ...], fields: dict[str, Field], table: pa.Table, min_count: int) -> Cross:
    of = [fields.get(name) for name in parts]
    for name, field in zip(parts, of, strict=True):
        if not isinstance(field, Category | Buckets):
            raise ConfigError(
                f"features.crosses: {name!r} is {'not read' if field is None else field.kind}",
                expected="columns read as categories",
            )
    codes = [field.encode(columns.whole(table[field.name])) for field in of if isinstance(field, Category | Buckets)]
    return Cross.fit(parts, tuple(field.schema.size for field in of if field is not None), codes, min_count)
