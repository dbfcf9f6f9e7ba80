"""Reading a config of any kind of run: of a model, of a ranker, of a two-stage recommender."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tastemaker.experiment.config import Config
from tastemaker.experiment.rank_config import RankConfig
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.resolve import ranker_names
from tastemaker.settings import override, read_toml


def read_any(path: Path | str, overrides: Iterable[str] = ()) -> Config | RankConfig | StageConfig:
    """Reads a config file: `[sources.NAME]` make it a two-stage recommender's, else the model it names says what it is.

    Raises:
        ConfigError: see `parse` of each.
    """
    path = Path(path)
    tree, base = override(read_toml(path), overrides), path.resolve().parent
    if is_two_stage(tree):
        return StageConfig.parse(tree, base)
    model = tree.get("model")
    if isinstance(model, Mapping) and model.get("name") in ranker_names():
        return RankConfig.parse(tree, base)
    return Config.parse(tree, base)


def is_two_stage(tree: Mapping[str, Any]) -> bool:
    """Whether a config's tree is a two-stage recommender's."""
    return "sources" in tree or "ranker" in tree
