"""Vectors on disk: what an encoder has encoded once is read, and a changed row is the only one that is encoded again.

```
FOLDER/<version of the encoder>/<hash of what is in it>.safetensors     keys uint8 (rows, 16) · values float32 (rows, dim)
```
Files are written whole under another name, moved into place and never changed, so any number of processes may read and write at once
without locks; at worst two of them encode the same row. A file that is damaged is dropped, and its rows are encoded again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.log import logger

KEY = 16
"""bytes of a row's hash"""

_MANY = 16  # files of a version are made one when there are more
_BLOCK = 16_384  # rows encoded before they are written
_LIMIT = 4 << 30


def encode_cached(
    encoder: Encoder, items: pa.Table, folder: Path, progress: Progress | None = None, *, keys: Sequence[bytes] | None = None
) -> Vectors:
    """What `encoder.encode(items)` gives, of which only rows not met before are encoded.

    Rows without a vector are asked for each time, so what they are rejected for is counted each time.

    Args:
        encoder: fitted.
        items: columns of its modality.
        folder: of all versions; made when needed. Versions unused for longest go where all together exceed 4 GiB.
        progress: told of rows that are encoded.
        keys: `KEY` bytes a row that are equal only for rows of equal content; default: of the values in its columns. A column of
            names of files needs keys of what is in them.
    """
    if encoder.reads == "use":  # its rows are places, not contents
        return encoder.encode(items, progress)
    if keys is None:
        keys = row_keys(items)
    place = folder / encoder.version
    held_keys, held = _read(place)
    places = {key: row for row, key in enumerate(held_keys)}
    at = np.fromiter((places.get(key, -1) for key in keys), np.int64, len(keys))
    present, missing = at >= 0, np.flatnonzero(at < 0)
    if len(keys) and not len(missing):
        return Vectors(held[at], present)
    parts, rejects = [], Counter[str]()
    for start in range(0, max(1, len(missing)), _BLOCK):  # what a kill interrupts is kept up to the last block
        rows = missing[start : start + _BLOCK]
        told = partial(_further, progress, start, len(missing)) if progress else None
        fresh = encoder.encode(items.take(rows), told)
        parts.append(fresh.values)
        present[rows] = fresh.present
        rejects.update(fresh.rejects)
        found = {keys[row]: spot for spot, row in enumerate(rows.tolist()) if fresh.present[spot]}
        if found:
            _write(place, list(found), fresh.values[list(found.values())])
    _prune(folder, place)
    values = np.zeros((len(keys), parts[0].shape[1]), np.float32)
    if len(held):
        values[at >= 0] = held[at[at >= 0]]
    values[missing] = np.concatenate(parts)
    return Vectors(values, present, dict(rejects))


def _further(progress: Progress, start: int, all_: int, done: int, _: int) -> None:
    progress(start + done, all_)


def row_keys(items: pa.Table) -> list[bytes]:
    """A hash of the values of each row."""
    columns = [items[name].to_pylist() for name in items.column_names]
    rows = zip(*columns, strict=True) if columns else ((place,) for place in range(len(items)))
    return [hashlib.blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=KEY).digest() for row in rows]


def _read(place: Path) -> tuple[list[bytes], np.ndarray]:
    """Keys and vectors of all files of a version."""
    keys: list[bytes] = []
    values: list[np.ndarray] = []
    with suppress(OSError):
        os.utime(place)  # used now
    for path in sorted(place.glob("*.safetensors")):
        found = _read_file(path)
        if found is not None and (not values or found[1].shape[1] == values[0].shape[1]):
            keys += [row.tobytes() for row in found[0]]
            values.append(found[1])
    return keys, np.concatenate(values) if values else np.zeros((0, 0), np.float32)


def _read_file(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """None where the file is damaged, which drops it, or has just been made one with others."""
    try:
        blob = path.read_bytes()
    except OSError:
        return None
    if hashlib.blake2b(blob, digest_size=KEY).hexdigest() == path.stem:
        with suppress(SafetensorError, KeyError):
            tensors = load(blob)
            return tensors["keys"], tensors["values"]
    logger.warning("%s is damaged; what it held is encoded again", path)
    with suppress(OSError):
        path.unlink()
    return None


def _write(place: Path, keys: list[bytes], values: np.ndarray) -> None:
    """Adds a file, or one in the place of many. A disk that is full or cannot be written costs time, not the run."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        before = sorted(place.glob("*.safetensors"))
        if len(before) >= _MANY:
            more_keys, more = _read(place)
            whole = dict(zip([*more_keys, *keys], range(len(more_keys) + len(keys)), strict=True))
            keys, values = list(whole), np.concatenate([more, values])[list(whole.values())]
        blob = save({"keys": np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY), "values": np.ascontiguousarray(values)})
        path = place / f"{hashlib.blake2b(blob, digest_size=KEY).hexdigest()}.safetensors"
        part = place / f"{uuid.uuid4().hex}.part"
        part.write_bytes(blob)
        os.replace(part, path)
        if len(before) >= _MANY:
            for old in before:
                if old != path:
                    old.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("vectors were not kept in %s: %s", place, error)


def _prune(folder: Path, keep: Path) -> None:
    """Drops the versions unused for longest while all together are larger than the limit."""
    with suppress(OSError):
        versions = sorted((place for place in folder.iterdir() if place.is_dir()), key=lambda place: place.stat().st_mtime)
        sizes = {place: sum(path.stat().st_size for path in place.iterdir()) for place in versions}
        for place in versions:
            if sum(sizes.values()) <= _LIMIT:
                return
            if place != keep:
                shutil.rmtree(place, ignore_errors=True)
                del sizes[place]
