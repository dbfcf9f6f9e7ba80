"""The shipped configs hold what the model they name can read."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tastemaker import resolve

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_model_section_of_a_shipped_config_is_valid(path: Path) -> None:
    section = tomllib.loads(path.read_text())["model"]
    name = section.pop("name")
    kind = (resolve.ranker_class if name in resolve.ranker_names() else resolve.model_class)(name)
    assert kind.Config.parse(section, "model").model_dump(mode="json", exclude_unset=True) == section
