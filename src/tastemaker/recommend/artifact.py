"""Artifact: a recommender as a folder that any process can open again, with no pickle in it.

```
manifest.json         what it is, what made it, and the size and sha256 of every other file
weights.safetensors   the model's parameters and buffers
users.arrow           id, a row per user place
items.arrow           id, events, then the catalogue's columns, a row per item place
histories.arrow       items, times, values: lists, a row per user place; times or values are left out where there are none
```

One whose model learned from the contents of items has `content-NAME.safetensors`, what the encoder of each modality learned. A recommender of two stages has the files of `stage_files` besides.

Opening checks everything before it believes anything: each file's hash, the manifest's own, that vocabularies, histories, model and
weights fit each other. Hashes guard against damage and mix-ups; they are no signature, so they do not say who made an artifact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from safetensors.torch import save_file

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.errors import ArtifactError, ConfigError
from tastemaker.recommend import encoding, stage_files
from tastemaker.recommend.encoding import EncodingFacts
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.sealed import (
    AGAIN,
    MANIFEST,
    FileFacts,
    ModelFacts,
    built,
    check_files,
    damaged,
    model_name,
    opening,
    read_arrow,
    read_facts,
    seal,
    tensors_of,
    write_arrow,
)
from tastemaker.recommend.stage_files import StageFacts
from tastemaker.settings import Settings

FORMAT = 1
"""The format written, and the newest that can be read."""

_WEIGHTS, _USERS, _ITEMS, _HISTORIES = "weights.safetensors", "users.arrow", "items.arrow", "histories.arrow"
_FILES = (_WEIGHTS, _USERS, _ITEMS, _HISTORIES)
_NOTHING = Histories.of([np.zeros(0, np.int32)])


class Manifest(Settings):
    """What an artifact says of itself."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """of the manifest file, computed with these 64 digits set to 0"""
    format: int
    created: str
    """UTC, ISO 8601"""
    tastemaker: str
    torch: str
    model: ModelFacts
    num_users: int = Field(ge=FIRST)
    num_items: int = Field(ge=FIRST)
    """sizes of the code spaces, PAD and UNKNOWN included"""
    users: str
    items: str
    """fingerprints of the vocabularies"""
    seed: int | None
    metrics: dict[str, Any]
    """how it was judged, as the experiment reported it"""
    config: dict[str, Any]
    """the resolved config of the run that made it"""
    files: dict[str, FileFacts]
    content: EncodingFacts | None = None
    """how contents of items are made, where the model learned from them"""
    stages: StageFacts | None = None
    """where the lists are made in two stages: all that is not the first source"""


def save(
    recommender: Recommender,
    folder: Path | str,
    *,
    metrics: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Path:
    """Writes a recommender as an artifact folder and returns the folder.

    The folder appears whole or not at all: it is written beside its place and then renamed. An artifact already there is replaced.

    Args:
        recommender: what to save.
        folder: a new or empty folder, or an artifact to replace.
        metrics: results to keep with it; NaN becomes null.
        config: the resolved config of the run; what JSON does not know becomes text.
        seed: the run's seed.

    Raises:
        ArtifactError: the folder holds something else, cannot be written, or the weights are not finite.
    """
    name, tensors = model_name(recommender.model), tensors_of(recommender.model)
    files: dict[str, Callable[[Path], None]] = {
        _WEIGHTS: partial(save_file, tensors),
        _USERS: lambda path: write_arrow(path, pa.table({"id": recommender.users.ids})),
        _ITEMS: lambda path: write_arrow(path, _item_table(recommender)),
        _HISTORIES: lambda path: write_arrow(path, _history_table(recommender.histories)),
    }
    facts = {
        "format": FORMAT,
        "model": {"name": name, "config": recommender.model.config.model_dump(mode="json")},
        "num_users": recommender.users.size,
        "num_items": recommender.items.size,
        "users": recommender.users.fingerprint,
        "items": recommender.items.fingerprint,
        "seed": seed,
        "metrics": metrics or {},
        "config": config or {},
    }
    if recommender.encoding is not None:
        facts["content"] = recommender.encoding.facts()
        files |= recommender.encoding.writers()
    if recommender.stages is not None:
        facts["stages"] = stage_files.facts(recommender.stages)
        files |= stage_files.writers(recommender.stages)
    return seal(folder, files, facts, "an artifact")


def load(folder: Path | str, *, device: torch.device | str = "cpu") -> Recommender:
    """Opens an artifact: answers are those of the recommender saved, bit for bit on the same kind of machine.

    Vocabularies, catalogue and histories stay on disk and are memory-mapped.

    Raises:
        ArtifactError: the folder is no artifact, or damaged, incomplete, inconsistent, or written by a newer version.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    of_content = encoding.files(manifest.content) if manifest.content else ()
    of_stages = stage_files.names(manifest.stages) if manifest.stages else ()
    check_files(folder, manifest.files, (*_FILES, *of_content, *of_stages))
    with opening(folder):
        users = Vocabulary(_column(read_arrow(folder / _USERS), 0, "id"))
        table = read_arrow(folder / _ITEMS)
        items = Vocabulary(_column(table, 0, "id"))
        for vocabulary, fingerprint, size, what in (
            (users, manifest.users, manifest.num_users, "users"),
            (items, manifest.items, manifest.num_items, "items"),
        ):
            if (vocabulary.fingerprint, vocabulary.size) != (fingerprint, size):
                raise ArtifactError(
                    f"{what} with fingerprint {vocabulary.fingerprint[:12]}…, {vocabulary.size} codes",
                    expected=f"the vocabulary the model was trained with ({fingerprint[:12]}…, {size} codes)",
                    hint="files of two artifacts were mixed; save the model again",
                )
        events = np.concatenate([np.zeros(FIRST, np.int64), _numbers(_column(table, 1, "events"), pa.int64())])
        histories = _histories(read_arrow(folder / _HISTORIES), manifest.num_users, manifest.num_items)
        told = None if manifest.content is None else encoding.schema(manifest.content)
        sizes = FeatureSchema(manifest.num_users, manifest.num_items, told)
        model = built(manifest.model, sizes, folder / _WEIGHTS).to(device)
        catalogue = table.select(range(2, table.num_columns))
        stages = None if manifest.stages is None else stage_files.read(folder, manifest.stages, model, users, items, catalogue)
        made_by = None if manifest.content is None else encoding.read(folder, manifest.content)
        return Recommender(model, users, items, histories, events=events, catalogue=catalogue, stages=stages, encoding=made_by)


def read_manifest(folder: Path | str) -> Manifest:
    """What an artifact says of itself; only the manifest is read and checked.

    Raises:
        ArtifactError: there is none, it is damaged, or written by a newer version.
    """
    facts = read_facts(folder, FORMAT)
    try:
        return Manifest.parse(facts)
    except ConfigError as error:
        raise damaged(MANIFEST, str(error)) from None


def _item_table(recommender: Recommender) -> pa.Table:
    """id, events, then the catalogue; read by place, so a catalogue may have columns of these names too."""
    columns = [recommender.items.ids, pa.array(recommender.events[FIRST:], pa.int64()), *recommender.catalogue.columns]
    fields = [pa.field("id", columns[0].type), pa.field("events", pa.int64()), *recommender.catalogue.schema]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _history_table(histories: Histories) -> pa.Table:
    start = histories.offsets[FIRST]
    offsets = pa.array(histories.offsets[FIRST:] - start, pa.int64())
    columns = {"items": histories.items}
    if histories.times.any():
        columns["times"] = histories.times
    if (histories.values != 1).any():
        columns["values"] = histories.values
    return pa.table(
        {name: pa.LargeListArray.from_arrays(offsets, pa.array(values[start:])) for name, values in columns.items()}
    )


def _histories(table: pa.Table, num_users: int, num_items: int) -> Histories:
    lists = {name: table[name].combine_chunks() for name in table.column_names}
    if "items" not in lists or table.num_rows != num_users - FIRST:
        raise damaged(_HISTORIES, f"{table.num_rows} rows of {table.column_names}")
    if not table.num_rows:
        return _NOTHING.take(np.zeros(num_users, np.int64))
    offsets = [_numbers(column.offsets, pa.int64()) for column in lists.values()]
    if not all(np.array_equal(offsets[0], other) for other in offsets) or offsets[0][0] != 0:
        raise damaged(_HISTORIES, "lists of different lengths")
    events = int(offsets[0][-1])
    flat = {name: column.values[:events] for name, column in lists.items()}
    items = _numbers(flat["items"], pa.int32())
    if events and not FIRST <= items.min() <= items.max() < num_items:
        raise damaged(_HISTORIES, "item codes outside the vocabulary")
    times = _numbers(flat["times"], pa.int64()) if "times" in flat else np.zeros(events, np.int64)
    values = _numbers(flat["values"], pa.float32()) if "values" in flat else np.ones(events, np.float32)
    return Histories(items, times, values, np.concatenate([np.zeros(FIRST, np.int64), offsets[0]]))


def _column(table: pa.Table, place: int, name: str) -> pa.Array:
    if table.num_columns <= place or table.schema.field(place).name != name:
        raise ArtifactError(f"columns {table.column_names}", expected=f"column {place} to be {name!r}", hint=AGAIN)
    return table.column(place).combine_chunks()


def _numbers(array: pa.Array, kind: pa.DataType) -> np.ndarray:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.type != kind or array.null_count:
        raise ArtifactError(f"{array.type} with {array.null_count} nulls", expected=f"{kind} without nulls", hint=AGAIN)
    return np.from_dlpack(array)
