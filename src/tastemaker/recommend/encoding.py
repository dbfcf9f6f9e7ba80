"""Encoding: what makes vectors of the items' contents, for those known when a model is trained and for those that come later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.torch import save_file

from tastemaker.data.item_contents import ContentSchema, FusionSettings, ItemContents
from tastemaker.data.vocabulary import FIRST
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.cache import encode_cached
from tastemaker.log import logger
from tastemaker.recommend.sealed import load_weights, tensors_of
from tastemaker.resolve import encoder_class
from tastemaker.settings import Settings


@dataclass(frozen=True, eq=False)
class Modality:
    """A fitted encoder and the columns it reads."""

    name: str
    encoder_name: str
    columns: tuple[str, ...]
    encoder: Encoder


class ModalityFacts(Settings):
    """What an artifact says of a modality."""

    name: str
    encoder: str
    columns: tuple[str, ...]
    config: dict[str, Any]
    dim: int
    version: str


class EncodingFacts(Settings):
    """What an artifact says of contents."""

    fusion: FusionSettings
    modalities: tuple[ModalityFacts, ...]


@dataclass(frozen=True, eq=False)
class Encoding:
    """The modalities of a model's items."""

    modalities: tuple[Modality, ...]
    settings: FusionSettings
    dims: Mapping[str, int]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that are read."""
        return tuple(dict.fromkeys(name for one in self.modalities for name in one.columns))

    @property
    def version(self) -> str:
        """Equal only if equal items get equal vectors."""
        return "-".join(one.encoder.version for one in self.modalities)

    def of_rows(self, rows: Sequence[Mapping[str, Any]], like: pa.Table) -> ItemContents:
        """Contents of items that come as properties, one row an item, no rows for PAD and UNKNOWN.

        `like` is the catalogue the encoders were fitted on: it says of what type a column is. A value of another type is as good as
        none.
        """
        columns = {name: [_fitting(row.get(name), like.schema.field(name).type) for row in rows] for name in self.columns}
        arrays = {name: pa.array(values, like.schema.field(name).type) for name, values in columns.items()}
        table = pa.table({"": pa.nulls(len(rows)), **arrays})  # without columns it had no rows
        return self.of_table(table, codes=False)

    def of_table(
        self, table: pa.Table, *, codes: bool, cache: Path | None = None, progress: Progress | None = None
    ) -> ItemContents:
        """Contents of the rows of a catalogue; with `codes` PAD and UNKNOWN, which are nothing, come first.

        Vectors that take long are kept in `cache`, a folder, and only rows not met before are encoded.
        """
        values, present = {}, {}
        for one in self.modalities:
            rows = table.select(one.columns)
            if one.encoder.reads == "use" and not codes:  # it knows places of the catalogue, and these are others
                made = Vectors(np.zeros((len(table), self.dims[one.name]), np.float32), np.zeros(len(table), bool))
            elif cache is not None and one.encoder.costly:
                made = encode_cached(one.encoder, rows, cache, progress, keys=one.encoder.keys(rows))
            else:
                made = one.encoder.encode(rows, progress)
            for reason, count in made.rejects.items():
                logger.warning("contents: %s of %s rows of %s: %s", f"{count:,}", f"{len(made):,}", one.name, reason)
            before = FIRST if codes else 0
            values[one.name] = np.pad(made.values, ((before, 0), (0, 0)))
            present[one.name] = np.pad(made.present, (before, 0))
        return ItemContents(values, present, self.settings, self)

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "fusion": self.settings.model_dump(mode="json"),
            "modalities": [
                {
                    "name": one.name,
                    "encoder": one.encoder_name,
                    "columns": one.columns,
                    "config": one.encoder.config.model_dump(mode="json"),
                    "dim": self.dims[one.name],
                    "version": one.encoder.version,
                }
                for one in self.modalities
            ],
        }

    def writers(self) -> dict[str, Callable[[Path], None]]:
        """What writes each file."""
        return {_weights(one.name): partial(save_file, tensors_of(one.encoder)) for one in self.modalities}


def files(facts: EncodingFacts) -> tuple[str, ...]:
    """The files that belong to it."""
    return tuple(_weights(one.name) for one in facts.modalities)


def schema(facts: EncodingFacts) -> ContentSchema:
    """What the artifact's model is built from."""
    return ContentSchema(tuple((one.name, one.dim) for one in facts.modalities), facts.fusion)


def read(folder: Path, facts: EncodingFacts) -> Encoding:
    """The encoding of an artifact."""
    modalities = []
    for one in facts.modalities:
        kind = encoder_class(one.encoder)
        encoder: Encoder = kind(kind.Config.parse(one.config, f"content.modalities.{one.name}.settings"))
        load_weights(encoder, folder / _weights(one.name))
        modalities.append(Modality(one.name, one.encoder, one.columns, encoder.eval()))
    return Encoding(tuple(modalities), facts.fusion, {one.name: one.dim for one in facts.modalities})


def _weights(name: str) -> str:
    return f"content-{name}.safetensors"


def _fitting(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    try:
        return pa.scalar(value, kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return str(value) if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None
