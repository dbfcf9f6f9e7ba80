"""The table of promises names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(
    set(re.findall(r"`(tests/[\w/]+\.py)(?:::(test_\w+))?`", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")))
)


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_promise_is_held_by_a_test_that_exists(path: str, name: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert f"def {name or 'test_'}" in source


def test_each_row_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 15
    assert all("`tests/" in row for row in rows[1:])
