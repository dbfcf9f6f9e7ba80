from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts import cache
from tastemaker.encoders.parts.cache import encode_cached


class Counting(Encoder):
    """The length of a text and a one; says what it was asked."""

    reads = "text"

    def __init__(self, version: str = "0" * 16) -> None:
        super().__init__(self.Config())
        self.asked: list[str | None] = []
        self._version = version

    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        texts = items["text"].to_pylist()
        self.asked += texts
        present = np.array([bool(text) for text in texts], bool)
        if progress is not None:
            progress(len(texts), len(texts))
        values = np.array([[len(text or ""), 1] for text in texts], np.float32).reshape(-1, 2) * present[:, None]
        return Vectors(values, present, {"empty": int((~present).sum())} if not present.all() else {})

    @property
    def version(self) -> str:
        return self._version


def table(*texts: str | None) -> pa.Table:
    return pa.table({"text": pa.array(texts, pa.string())})


def asked(items: pa.Table, folder: Path, version: str = "0" * 16) -> list[str | None]:
    """What had to be encoded; the vectors are right."""
    encoder = Counting(version)
    found, expected = encode_cached(encoder, items, folder), Counting().encode(items)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.present, expected.present)
    assert found.rejects == expected.rejects
    return encoder.asked


def test_only_what_changed_is_encoded_again(tmp_path: Path) -> None:
    assert asked(table("a", "bb", "ccc"), tmp_path) == ["a", "bb", "ccc"]
    assert asked(table("ccc", "a", "bb", "a"), tmp_path) == []
    assert asked(table("a", "changed", "ccc"), tmp_path) == ["changed"]
    assert asked(table(), tmp_path) == []


def test_another_version_has_vectors_of_its_own(tmp_path: Path) -> None:
    asked(table("a"), tmp_path)
    assert asked(table("a"), tmp_path, "1" * 16) == ["a"]


def test_what_is_not_there_is_asked_and_counted_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        assert asked(table(None, ""), tmp_path) == [None, ""]


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_file_is_made_again(damage: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked(table("a", "bb"), tmp_path)
    (path,) = tmp_path.glob("*/*.safetensors")
    blob = path.read_bytes()
    path.write_bytes(blob[:-1] + bytes([blob[-1] ^ 1]) if damage is None else damage)
    with caplog.at_level(logging.WARNING):
        assert asked(table("a", "bb"), tmp_path) == ["a", "bb"]
    assert "damaged" in caplog.text
    assert asked(table("a", "bb"), tmp_path) == []


def test_many_small_files_become_one(tmp_path: Path) -> None:
    names = [f"text {number}" for number in range(3 * cache._MANY)]
    for name in names:
        asked(table(name), tmp_path)
    assert len(list(tmp_path.glob("*/*"))) <= cache._MANY
    assert asked(table(*names), tmp_path) == []


def test_many_at_once_leave_nothing_damaged(tmp_path: Path) -> None:
    def work(worker: int) -> None:
        for step in range(25):
            asked(table(*[f"{worker * step % 7} {number}" for number in range(4)]), tmp_path)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert not list(tmp_path.glob("*/*.part"))
    assert asked(table(*[f"{number} 0" for number in range(7)]), tmp_path) == []


def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert asked(table("a"), tmp_path / "file") == ["a"]
    assert "not kept" in caplog.text


def test_versions_unused_for_longest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        asked(table("a" * 100), tmp_path, str(number) * 16)
        os.utime(tmp_path / (str(number) * 16), (number, number))
    asked(table("a" * 100), tmp_path, "0" * 16)  # used just now
    size = sum(path.stat().st_size for path in tmp_path.glob("*/*"))
    monkeypatch.setattr(cache, "_LIMIT", size)
    asked(table("b"), tmp_path, "2" * 16)
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["0", "2"]


def test_rows_are_told_apart_by_all_their_columns() -> None:
    rows = pa.table({"a": ["x", "x", "x", None], "b": [["y"], ["y"], ["z"], ["y"]]})
    keys = cache.row_keys(rows)
    assert keys[0] == keys[1] and len(set(keys)) == 3 and {len(key) for key in keys} == {cache.KEY}


def test_a_kill_loses_one_block_and_progress_is_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_BLOCK", 2)
    told: list[tuple[int, int]] = []

    def killed(done: int, all_: int) -> None:
        told.append((done, all_))
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_cached(Counting(), table("a", "b", "c", "d", "e"), tmp_path, killed)
    assert told == [(2, 5), (4, 5)]
    assert asked(table("a", "b", "c", "d", "e"), tmp_path) == ["c", "d", "e"]
