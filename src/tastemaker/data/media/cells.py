"""Cells that hold the content of a file, or the path of one on this machine. Nothing is fetched from elsewhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pyarrow as pa

from tastemaker.data.features.columns import is_text, whole
from tastemaker.errors import ConfigError, DataError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class UnusableError(Exception):
    """What a cell holds cannot be used; the message is the reason, short and the same for all cells of its kind."""


def is_file(kind: pa.DataType) -> bool:
    """Whether values are contents of files, paths, or structs {bytes, path} of both."""
    if pa.types.is_struct(kind):
        inner = {kind.field(place).name: kind.field(place).type for place in range(kind.num_fields)}
        return "bytes" in inner and all(_is_binary(one) or is_text(one) for one in inner.values())
    return _is_binary(kind) or is_text(kind) or pa.types.is_null(kind)


def _is_binary(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def only_column(items: pa.Table, what: str) -> pa.Array:
    """The one column of a modality, in one piece.

    Raises:
        DataError: there is none, or more than one.
    """
    if items.num_columns != 1:
        found = ", ".join(items.column_names) or "none"
        raise DataError(f"columns {found}", expected=f"one column of {what}", hint="give each column a modality of its own")
    return whole(items.column(0))


def folder_of(setting: str) -> Path | None:
    """The folder that paths are looked up in; None where none is set.

    Raises:
        ConfigError: it is not there.
    """
    if not setting:
        return None
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"folder = {setting!r}", expected="a folder that exists", hint="paths in the column are relative to it"
        )
    return folder.resolve()


def content(cell: Any, folder: Path | None, max_bytes: int) -> bytes | None:
    """The bytes that a cell holds or points at; None where the cell is empty.

    Paths are relative to the folder, or absolute and inside it. A text `data:image/png;base64,…` (RFC 2397) is the content itself.

    Raises:
        UnusableError: with the reason.
    """
    if isinstance(cell, dict):
        cell = cell["path"] if cell["bytes"] is None and "path" in cell else cell["bytes"]
    if cell is None or cell == "":
        return None
    if isinstance(cell, bytes) and cell[:5] == b"data:":  # text that came into a column of bytes
        cell = cell.decode("ascii", "replace")
    if isinstance(cell, str):
        found = _inline(cell, max_bytes) if cell.startswith("data:") else _read(cell, folder, max_bytes)
    else:
        found = cell
    if not found:
        raise UnusableError("no bytes")
    if len(found) > max_bytes:
        raise UnusableError("more bytes than max_bytes")
    return bytes(found)


def _inline(text: str, max_bytes: int) -> bytes:
    head, comma, data = text.partition(",")
    if not comma or not head.endswith(";base64"):
        raise UnusableError("a data: text without base64")
    if len(data) > max_bytes * 4 // 3 + 4:
        raise UnusableError("more bytes than max_bytes")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise UnusableError("a data: text that is no base64") from None


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


def runs(column: pa.Array, size: int) -> Iterator[list[Any]]:
    """The cells as Python's values, `size` at a time: bytes are copied only as they are needed."""
    for start in range(0, len(column), size):
        yield column.slice(start, size).to_pylist()
