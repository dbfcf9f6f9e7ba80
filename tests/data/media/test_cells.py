from __future__ import annotations

import base64
import os
from pathlib import Path

import pyarrow as pa
import pytest

from tastemaker.data.media.cells import UnusableError, content, file_key, folder_of, is_file, only_column
from tastemaker.errors import DataError

LARGE = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "inside"
    (inside / "deeper").mkdir(parents=True)
    (inside / "deeper" / "a.bin").write_bytes(b"content")
    (inside / "empty.bin").touch()
    (tmp_path / "secret.bin").write_bytes(b"secret")
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "circle").symlink_to(inside / "circle")
    os.mkfifo(inside / "pipe")
    return folder_of(inside) or inside


def test_a_cell_holds_bytes_a_path_or_both(folder: Path) -> None:
    for cell in (
        b"content",
        "deeper/a.bin",
        str(folder / "deeper" / "a.bin"),
        {"bytes": b"content", "path": "gone.bin"},
        {"bytes": None, "path": "deeper/a.bin"},
        {"bytes": b"content"},
    ):
        assert content(cell, folder, LARGE) == b"content"


@pytest.mark.parametrize("head", ["data:image/png;base64,", "data:;base64,", "data:image/svg+xml;charset=utf-8;base64,"])
def test_a_cell_may_hold_a_data_url(head: str) -> None:
    text = head + base64.b64encode(b"content").decode()
    for cell in (text, text.encode(), {"bytes": text.encode(), "path": None}, {"bytes": None, "path": text}):
        assert content(cell, None, LARGE) == b"content"


def test_an_empty_cell_holds_nothing(folder: Path) -> None:
    for cell in (None, "", {"bytes": None, "path": None}, {"bytes": None, "path": ""}, {"bytes": None}):
        assert content(cell, folder, LARGE) is None


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (b"", "no bytes"),
        ("empty.bin", "no bytes"),
        ({"bytes": b"", "path": "deeper/a.bin"}, "no bytes"),
        ("gone.bin", "no such file"),
        ("deeper", "not a file"),
        ("pipe", "not a file"),
        ("../secret.bin", "a path that leads out of the folder"),
        ("link.bin", "a path that leads out of the folder"),
        ("/etc/hostname", "a path that leads out of the folder"),
        ("circle", "a file that cannot be read"),
        ("a\0b", "a file that cannot be read"),
        ("x" * 5000, "a file that cannot be read"),
        ("http://localhost:1/a.png", "a URL, where only files of this machine are read"),
        ("file:///etc/hostname", "a URL, where only files of this machine are read"),
        ("data:image/png;base64,", "no bytes"),
        ("data:image/png;base64,???", "a data URL that is not in base64"),
        ("data:image/png;base64," + "A" * (LARGE * 2), "more bytes than max_bytes"),
        ("data:text", "no such file"),
        (b"x" * (LARGE + 1), "more bytes than max_bytes"),
    ],
)
def test_what_cannot_be_used_is_told_by_reason(folder: Path, cell: object, reason: str) -> None:
    with pytest.raises(UnusableError, match=f"^{reason}$"):
        content(cell, folder, LARGE)


def test_a_large_file_is_not_read_whole(folder: Path) -> None:
    with (folder / "large.bin").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UnusableError, match="more bytes than max_bytes"):
        content("large.bin", folder, LARGE)


def test_paths_need_a_folder() -> None:
    with pytest.raises(UnusableError, match="a path, where no folder is set"):
        content("a.bin", folder_of(None), LARGE)


def test_types_of_columns_with_files() -> None:
    struct = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    for kind in (pa.binary(), pa.large_binary(), pa.binary(4), pa.string(), pa.large_string(), pa.null(), struct):
        assert is_file(kind)
    for kind in (pa.int64(), pa.list_(pa.binary()), pa.struct({"path": pa.string()}), pa.struct({"bytes": pa.int8()})):
        assert not is_file(kind)


def test_one_column_makes_a_modality() -> None:
    one = pa.array([b"a", b"b"])
    assert only_column(pa.table({"a": pa.chunked_array([one, one])}), "image").to_pylist() == [b"a", b"b"] * 2
    with pytest.raises(DataError, match="columns a, b"):
        only_column(pa.table({"a": one, "b": one}), "image")
    with pytest.raises(DataError, match="columns none"):
        only_column(pa.table({"a": one}).select([]), "image")


def test_keys_are_equal_for_equal_contents_alone(folder: Path) -> None:
    file = folder / "deeper" / "a.bin"
    cells = [
        b"a",
        b"b",
        b"",
        None,
        "",
        "deeper/a.bin",
        "a.bin",
        [b"a", b"b"],
        [b"ab"],
        [],
        [[[1, 2]]],
        [[[1, 3]]],
        [0.5],
        "http://x/y",
    ]
    keys = [file_key(cell, folder) for cell in cells]
    assert len(set(keys)) == len(keys) and all(len(key) == 16 for key in keys)
    assert keys == [file_key(cell, folder) for cell in cells]
    assert file_key({"bytes": b"a", "path": "x"}, folder) == keys[0]
    assert file_key({"bytes": None, "path": "deeper/a.bin"}, folder) == keys[5]
    file.write_bytes(b"changed")
    assert file_key("deeper/a.bin", folder) != keys[5]
