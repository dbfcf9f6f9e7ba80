"""Cells that hold the content of a file, or the path of one on this machine. Nothing is fetched from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pyarrow as pa

from tastemaker.data.features.columns import is_text, whole
from tastemaker.errors import DataError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

_INLINE = re.compile(rb"data:[\w.+/-]*(;[\w.+-]+=[\w.+-]+)*;base64,", re.ASCII)
_LONGEST_HEAD = 256


class UnusableError(Exception):
    """What a cell holds cannot be used; the message is the reason, short and the same for all cells of its kind."""


def is_file(kind: pa.DataType) -> bool:
    """Whether values are contents of files, paths, or structs {bytes, path} of both."""
    if pa.types.is_struct(kind):
        inner = {kind.field(place).name: kind.field(place).type for place in range(kind.num_fields)}
        return "bytes" in inner and all(_is_held(one) for one in inner.values())
    return _is_held(kind)


def _is_held(kind: pa.DataType) -> bool:
    """Whether values are bytes or texts, or all are missing."""
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
        pa.types.is_null,
    )
    return is_text(kind) or any(test(kind) for test in tests)


def only_column(items: pa.Table, what: str) -> pa.Array:
    """The one column of a modality, in one piece.

    Raises:
        DataError: there is none, or more than one.
    """
    if items.num_columns != 1:
        found = ", ".join(items.column_names) or "none"
        raise DataError(f"columns {found}", expected=f"one column of {what}", hint="give each column a modality of its own")
    return whole(items.column(0))


def folder_of(setting: Path | None) -> Path | None:
    """The folder that paths are looked up in; None where none is set."""
    return None if setting is None else setting.expanduser().resolve()


def content(cell: Any, folder: Path | None, max_bytes: int) -> bytes | None:
    """The bytes that a cell holds or points at; None where the cell is empty.

    Paths are relative to the folder, or absolute and inside it. What begins as a data URL in base64 does (RFC 2397), the form in which
    JSON can hold a file, is one.

    Raises:
        UnusableError: with the reason.
    """
    if isinstance(cell, dict):
        cell = cell["path"] if cell["bytes"] is None and "path" in cell else cell["bytes"]
    if cell is None or cell == "":
        return None
    head = cell[:_LONGEST_HEAD].encode("utf-8", "replace") if isinstance(cell, str) else cell[:_LONGEST_HEAD]
    if inline := _INLINE.match(head):
        found = _decoded(cell[inline.end() :])
    else:
        found = _read(cell, folder, max_bytes) if isinstance(cell, str) else bytes(cell)
    if not found:
        raise UnusableError("no bytes")
    if len(found) > max_bytes:
        raise UnusableError("more bytes than max_bytes")
    return found


def _decoded(text: str | bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise UnusableError("a data URL that is not in base64") from None


def _read(path: str, folder: Path | None, max_bytes: int) -> bytes:
    if _URL.match(path):
        raise UnusableError("a URL, where only files of this machine are read")
    if folder is None:
        raise UnusableError("a path, where no folder is set")
    try:
        file = (folder / path).resolve()
        if not file.is_relative_to(folder):
            raise UnusableError("a path that leads out of the folder")
        if not S_ISREG(file.stat().st_mode):
            raise UnusableError("not a file")
        with file.open("rb") as opened:
            return opened.read(max_bytes + 1)
    except FileNotFoundError:
        raise UnusableError("no such file") from None
    except (OSError, ValueError, RuntimeError):  # no right to read it; a NUL in its name; links in a circle
        raise UnusableError("a file that cannot be read") from None


def file_key(cell: Any, folder: Path | None) -> bytes:
    """16 bytes that are equal only for cells of equal content: of a path, what is known of the file without reading it."""
    if isinstance(cell, list):
        said = b"".join(file_key(part, folder) for part in cell) + b"list"
    else:
        if isinstance(cell, dict):
            cell = cell["path"] if cell["bytes"] is None and "path" in cell else cell["bytes"]
        said = cell if isinstance(cell, bytes) else repr(cell).encode("utf-8", "surrogatepass")
        if isinstance(cell, str) and folder is not None:
            with suppress(OSError, ValueError):
                facts = (folder / cell).stat()
                said += f"{folder} {facts.st_size} {facts.st_mtime_ns}".encode()
    return hashlib.blake2b(said, digest_size=16).digest()
