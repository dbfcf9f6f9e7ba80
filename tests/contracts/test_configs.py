"""The shipped configs hold what the model they name can read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tastemaker import resolve

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def sections(tree: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The models and rankers that a config names, and their settings: one, or with two stages the sources and the ranker."""
    found = [dict(tree[name]) for name in ("model", "ranker") if name in tree]
    sources = [(source.get("model", name), source.get("settings", {})) for name, source in tree.get("sources", {}).items()]
    return [*sources, *((section.pop("name"), section) for section in found)]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_models_of_a_shipped_config_can_read_their_settings(path: Path) -> None:
    named = sections(tomllib.loads(path.read_text()))
    assert named
    for name, settings in named:
        kind = (resolve.ranker_class if name in resolve.ranker_names() else resolve.model_class)(name)
        assert kind.Config.parse(settings, "model").model_dump(mode="json", exclude_unset=True) == settings
