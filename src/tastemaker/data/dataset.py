"""Dataset: vocabularies, interactions and catalogue in one immutable, fingerprinted whole; Arrow on disk, memory-mapped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tastemaker.data.interactions import Interactions
from tastemaker.data.item_contents import ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.errors import DataError

_FORMAT = 1
_COLUMNS = ("user", "item", "time", "value", "kind", "side")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Everything a model may learn from.

    `catalogue` and `profiles` are tables with a row per item or user *place* (code - 2), in vocabulary order; columns are whatever
    the source brought (title, price, country…). Either may be a table without columns.
    """

    users: Vocabulary
    items: Vocabulary
    interactions: Interactions
    catalogue: pa.Table = field(default_factory=lambda: pa.table({}))
    profiles: pa.Table = field(default_factory=lambda: pa.table({}))
    contents: ItemContents | None = None
    """vectors of what items are, made from the catalogue for models that learn from them; not saved with the rest"""

    @property
    def schema(self) -> FeatureSchema:
        """What a model needs to know to be built."""
        return FeatureSchema(self.users.size, self.items.size, self.contents.schema if self.contents else None)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over vocabularies and interactions: equal input gives equal fingerprints on every engine."""
        digest = hashlib.sha256((self.users.fingerprint + self.items.fingerprint).encode())
        digest.update(json.dumps([self.interactions.kinds, self.interactions.kind_weights]).encode())
        for name in _COLUMNS:
            digest.update(np.ascontiguousarray(getattr(self.interactions, name)).tobytes())
        if self.interactions.review is not None:
            for text in self.interactions.review.to_pylist():
                digest.update(text.encode() + b"\0")
        return digest.hexdigest()

    def save(self, folder: Path | str) -> Path:
        """Writes the dataset as Arrow files into `folder` (made if missing) and returns the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        data = self.interactions
        columns = {name: getattr(data, name) for name in _COLUMNS}
        if data.review is not None:
            columns["review"] = data.review
        _write(folder / "interactions.arrow", pa.table(columns))
        _write(folder / "users.arrow", pa.table({"id": self.users.ids}))
        _write(folder / "items.arrow", pa.table({"id": self.items.ids}))
        _write(folder / "catalogue.arrow", self.catalogue)
        _write(folder / "profiles.arrow", self.profiles)
        manifest = {
            "format": _FORMAT,
            "kinds": data.kinds,
            "kind_weights": data.kind_weights,
            "fingerprint": self.fingerprint,
        }
        (folder / "dataset.json").write_text(json.dumps(manifest, indent=2) + "\n")
        return folder

    @classmethod
    def load(cls, folder: Path | str) -> Dataset:
        """Opens a saved dataset; interactions stay on disk and are memory-mapped.

        Raises:
            DataError: the folder holds no dataset, or one written by a newer version.
        """
        folder = Path(folder)
        try:
            manifest = json.loads((folder / "dataset.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"no dataset in {str(folder)!r}", expected="a folder with dataset.json") from None
        if manifest["format"] > _FORMAT:
            raise DataError(f"dataset format {manifest['format']}", expected=f"format ≤ {_FORMAT}", hint="update tastemaker")
        rows = _read(folder / "interactions.arrow")
        columns: dict[str, Any] = {name: rows[name].combine_chunks().to_numpy(zero_copy_only=False) for name in _COLUMNS}
        if "review" in rows.column_names:
            columns["review"] = rows["review"].combine_chunks()
        return cls(
            Vocabulary(_read(folder / "users.arrow")["id"]),
            Vocabulary(_read(folder / "items.arrow")["id"]),
            Interactions(**columns, kinds=tuple(manifest["kinds"]), kind_weights=tuple(manifest["kind_weights"])),
            _read(folder / "catalogue.arrow"),
            _read(folder / "profiles.arrow"),
        )


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all()
