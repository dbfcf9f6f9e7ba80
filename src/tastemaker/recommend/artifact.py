"""Artifact: a recommender as a folder that any process can open again, with no pickle in it.

```
manifest.json         what it is, what made it, and the size and sha256 of every other file
weights.safetensors   the model's parameters and buffers
users.arrow           id, a row per user place
items.arrow           id, events, then the catalogue's columns, a row per item place
histories.arrow       items, times, values: lists, a row per user place; times or values are left out where there are none
```

Opening checks everything before it believes anything: each file's hash, the manifest's own, that vocabularies, histories, model and
weights fit each other. Hashes guard against damage and mix-ups; they are no signature, so they do not say who made an artifact.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor

from tastemaker import __version__
from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.errors import ArtifactError, ConfigError, MissingExtraError
from tastemaker.models.base import Model
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_class
from tastemaker.settings import Settings

FORMAT = 1
"""The format written, and the newest that can be read."""

_MANIFEST, _WEIGHTS, _USERS, _ITEMS, _HISTORIES = (
    "manifest.json",
    "weights.safetensors",
    "users.arrow",
    "items.arrow",
    "histories.arrow",
)
_FILES = (_WEIGHTS, _USERS, _ITEMS, _HISTORIES)
_MANIFEST_BYTES = 1 << 24
_UNSIGNED = "0" * 64
_AGAIN = "the artifact is damaged; copy the whole folder again or save the model again"
_NOTHING = Histories.of([np.zeros(0, np.int32)])


class FileFacts(Settings):
    """What a file must be."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ModelFacts(Settings):
    """What the model is."""

    name: str
    """as in `tastemaker models`"""
    config: dict[str, Any]


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
    folder = Path(folder).absolute()
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / _MANIFEST).is_file())):
        raise ArtifactError(
            f"{str(folder)!r} holds something else",
            expected="a new folder or an artifact to replace",
            hint="choose another folder",
        )
    name, tensors = _model_name(recommender.model), _tensors(recommender.model)
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
        save_file(tensors, temporary / _WEIGHTS)
        _write(temporary / _USERS, pa.table({"id": recommender.users.ids}))
        _write(temporary / _ITEMS, _item_table(recommender))
        _write(temporary / _HISTORIES, _history_table(recommender.histories))
        facts = {
            "sha256": _UNSIGNED,
            "format": FORMAT,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "tastemaker": __version__,
            "torch": torch.__version__,
            "model": {"name": name, "config": recommender.model.config.model_dump(mode="json")},
            "num_users": recommender.users.size,
            "num_items": recommender.items.size,
            "users": recommender.users.fingerprint,
            "items": recommender.items.fingerprint,
            "seed": seed,
            "metrics": _plain(metrics or {}),
            "config": _plain(config or {}),
            "files": {file: {"bytes": (temporary / file).stat().st_size, "sha256": _hash(temporary / file)} for file in _FILES},
        }
        text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
        digest = hashlib.sha256(text.encode()).hexdigest()
        (temporary / _MANIFEST).write_text(text.replace(_UNSIGNED, digest, 1), encoding="utf-8")
        _move(temporary, folder)
    except OSError as error:
        raise ArtifactError(
            f"{error.strerror or error}", expected=f"to write {str(folder)!r}", hint="check the path and free space"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def load(folder: Path | str, *, device: torch.device | str = "cpu") -> Recommender:
    """Opens an artifact: answers are those of the recommender saved, bit for bit on the same kind of machine.

    Vocabularies, catalogue and histories stay on disk and are memory-mapped.

    Raises:
        ArtifactError: the folder is no artifact, or damaged, incomplete, inconsistent, or written by a newer version.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    _check_files(folder, manifest)
    with _as_artifact_error(folder):
        users = Vocabulary(_column(_read(folder / _USERS), 0, "id"))
        table = _read(folder / _ITEMS)
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
        histories = _histories(_read(folder / _HISTORIES), manifest.num_users, manifest.num_items)
        model = _model(folder / _WEIGHTS, manifest).to(device)
        return Recommender(model, users, items, histories, events=events, catalogue=table.select(range(2, table.num_columns)))


def read_manifest(folder: Path | str) -> Manifest:
    """What an artifact says of itself; only the manifest is read and checked.

    Raises:
        ArtifactError: there is none, it is damaged, or written by a newer version.
    """
    folder = Path(folder)
    path = folder / _MANIFEST
    if not path.is_file():
        raise ArtifactError(
            f"no {_MANIFEST} in {str(folder)!r}", expected="an artifact folder", hint="`tastemaker train` makes one"
        )
    if path.stat().st_size > _MANIFEST_BYTES:
        raise _damaged(_MANIFEST, f"{path.stat().st_size} bytes")
    try:
        raw = path.read_bytes()
        facts = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise ArtifactError(f"{error.strerror}", expected=f"to read {str(path)!r}") from None
    except (ValueError, RecursionError) as error:
        raise _damaged(_MANIFEST, f"not JSON: {error}") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int) or not isinstance(facts.get("sha256"), str):
        raise _damaged(_MANIFEST, "neither format nor sha256")
    if facts["format"] > FORMAT:
        raise ArtifactError(f"artifact format {facts['format']}", expected=f"format ≤ {FORMAT}", hint="update tastemaker")
    digest = facts["sha256"].encode()
    if len(digest) != 64 or hashlib.sha256(raw.replace(digest, _UNSIGNED.encode(), 1)).hexdigest().encode() != digest:
        raise _damaged(_MANIFEST, "its sha256 differs")
    try:
        return Manifest.parse(facts)
    except ConfigError as error:
        raise _damaged(_MANIFEST, str(error)) from None


def _check_files(folder: Path, manifest: Manifest) -> None:
    """Refuses missing, extra, resized and changed files. Only names known here are ever opened."""
    if set(manifest.files) != set(_FILES):
        raise _damaged(_MANIFEST, f"files {sorted(manifest.files)}")
    found = {entry.name for entry in folder.iterdir()} - {_MANIFEST}
    for name in sorted(set(_FILES) - found):
        raise ArtifactError(f"no {name} in {str(folder)!r}", expected=", ".join(_FILES), hint="copy the whole folder again")
    for name in sorted(found - set(_FILES)):
        raise ArtifactError(f"{name!r} in {str(folder)!r}", expected="only the artifact's own files", hint="move it elsewhere")
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts.bytes:
            raise _damaged(name, f"not a file of {facts.bytes} bytes")
        if _hash(path) != facts.sha256:
            raise _damaged(name, "its sha256 differs")


def _model(path: Path, manifest: Manifest) -> Model:
    """Builds the model and loads its weights; the generator of the process is left as it was."""
    cls = model_class(manifest.model.name)
    config = cls.Config.parse(manifest.model.config, "model")
    weights = load_file(path)
    with torch.random.fork_rng(devices=[]):
        model: Model = cls(config, FeatureSchema(manifest.num_users, manifest.num_items))
    for name, tensor in model.state_dict().items():
        if name in weights and weights[name].dtype != tensor.dtype:
            raise _damaged(_WEIGHTS, f"{name} is {weights[name].dtype} where the model has {tensor.dtype}")
    model.load_state_dict(weights)
    _check_numbers(model)
    return model


def _model_name(model: Model) -> str:
    name = type(model).__module__.rpartition(".")[2]
    try:
        known = model_class(name) is type(model)
    except ConfigError:
        known = False
    if not known:
        raise ArtifactError(
            f"a model of class {type(model).__qualname__!r}",
            expected="a model of tastemaker.models",
            hint="give it a file there",
        )
    return name


def _tensors(model: Model) -> dict[str, Tensor]:
    """The model's state in main memory, no two tensors sharing memory (safetensors stores each on its own)."""
    _check_numbers(model)
    tensors: dict[str, Tensor] = {}
    stored: set[int] = set()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in stored else tensor
        stored.add(place)
    return tensors


def _check_numbers(model: Model) -> None:
    """Parameters must be finite; buffers may be infinite (a bound that is not set) but not NaN."""
    parameters = dict(model.named_parameters())
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = (float(value) for value in tensor.aminmax())  # NaN if any is, and nothing is allocated
            if math.isnan(low) or (name in parameters and math.isinf(high - low)):
                raise ArtifactError(
                    f"NaN or infinite weights in {name!r}",
                    expected="finite weights",
                    hint="training diverged; lower the learning rate",
                )


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
        raise _damaged(_HISTORIES, f"{table.num_rows} rows of {table.column_names}")
    if not table.num_rows:
        return _NOTHING.take(np.zeros(num_users, np.int64))
    offsets = [_numbers(column.offsets, pa.int64()) for column in lists.values()]
    if not all(np.array_equal(offsets[0], other) for other in offsets) or offsets[0][0] != 0:
        raise _damaged(_HISTORIES, "lists of different lengths")
    events = int(offsets[0][-1])
    flat = {name: column.values[:events] for name, column in lists.items()}
    items = _numbers(flat["items"], pa.int32())
    if events and not FIRST <= items.min() <= items.max() < num_items:
        raise _damaged(_HISTORIES, "item codes outside the vocabulary")
    times = _numbers(flat["times"], pa.int64()) if "times" in flat else np.zeros(events, np.int64)
    values = _numbers(flat["values"], pa.float32()) if "values" in flat else np.ones(events, np.float32)
    return Histories(items, times, values, np.concatenate([np.zeros(FIRST, np.int64), offsets[0]]))


def _column(table: pa.Table, place: int, name: str) -> pa.Array:
    if table.num_columns <= place or table.schema.field(place).name != name:
        raise ArtifactError(f"columns {table.column_names}", expected=f"column {place} to be {name!r}", hint=_AGAIN)
    return table.column(place).combine_chunks()


def _numbers(array: pa.Array, kind: pa.DataType) -> np.ndarray:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if array.type != kind or array.null_count:
        raise ArtifactError(f"{array.type} with {array.null_count} nulls", expected=f"{kind} without nulls", hint=_AGAIN)
    return np.from_dlpack(array)


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def _read(path: Path) -> pa.Table:
    table = pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all()
    table.validate(full=True)
    return table


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move(temporary: Path, folder: Path) -> None:
    """Puts a finished folder in its place: at no moment is there half an artifact, not even after a power cut."""
    for path in [*temporary.iterdir(), temporary]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    if folder.exists() and any(folder.iterdir()):
        old = temporary.with_suffix(".old")
        folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old)
    else:
        temporary.rename(folder)


def _plain(value: Any) -> Any:
    """JSON's own types: NaN and infinities become null, keys text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _damaged(name: str, found: str) -> ArtifactError:
    return ArtifactError(
        f"{name}: {found}", expected="the artifact as it was saved", hint="it is damaged; copy or train it again"
    )


@contextmanager
def _as_artifact_error(folder: Path) -> Iterator[None]:
    """What goes wrong in opening files that are not what they claim is the artifact's fault."""
    try:
        yield
    except (ArtifactError, MissingExtraError):
        raise
    except Exception as error:
        found = re.sub(r"\s+", " ", str(error) or type(error).__name__)[:500]
        raise ArtifactError(f"{str(folder)!r} cannot be opened: {found}", expected="a sound artifact", hint=_AGAIN) from None
