"""StageConfig: the whole TOML of a run that trains a two-stage recommender: sources, and a ranker over what they find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from tastemaker.data.config import DataConfig
from tastemaker.data.features.config import FeaturesConfig
from tastemaker.data.features.moments import MomentsConfig
from tastemaker.data.item_contents import ContentConfig
from tastemaker.data.requests import RequestsConfig
from tastemaker.data.splits import SplitConfig
from tastemaker.errors import ConfigError
from tastemaker.experiment.config import EvaluateSection
from tastemaker.experiment.contents import read_content
from tastemaker.experiment.sections import Sections, check_sections
from tastemaker.recommend.objective import Objective, parse_objectives
from tastemaker.resolve import model_class, ranker_class
from tastemaker.settings import Settings, expand
from tastemaker.train.config import TrainConfig
from tastemaker.train.rows import RowTrainConfig


class SourceConfig(Settings):
    """A `[sources.NAME]` section: a retrieval model that brings candidates."""

    model: str | None = Field(None, description="a name that `tastemaker models` lists; default: the section's own")
    depth: int = Field(100, ge=1, le=10_000, description="candidates it brings")
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="as in its own `[model]` section; without any, popularity, item_knn and ease are tuned on validation",
    )
    train: dict[str, Any] = Field(default_factory=dict, description="as in its own `[train]` section")


class StageEvaluateSection(EvaluateSection):
    """The `[evaluate]` section of a two-stage run: each source is a baseline."""

    baselines: tuple[str, ...] = ()

    @field_validator("baselines")
    @classmethod
    def _sources_are(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if names:
            raise ValueError("no baselines: each source is one")
        return names


@dataclass(frozen=True)
class StageConfig(Sections):
    """All sections, checked."""

    data: DataConfig
    split: SplitConfig
    content: ContentConfig
    sources: dict[str, SourceConfig]
    moments: MomentsConfig
    rows: RequestsConfig
    features: FeaturesConfig
    ranker_name: str
    ranker: Settings
    train: RowTrainConfig
    evaluate: StageEvaluateSection
    objectives: dict[str, Objective]
    """what lists are ordered by, for each scenario; the first where none is named"""
    base: Path
    """the folder that relative paths start from"""
    model_name: str = "two_stage"

    @classmethod
    def parse(cls, tree: Mapping[str, Any], base: Path | str = ".") -> StageConfig:
        """Checks a tree as read from TOML. `${NAME}` in texts stands for environment variables.

        Raises:
            ConfigError: a section or key is unknown (the nearest known one is named), missing, out of range or without effect.
        """
        check_sections(tree, (*_SECTIONS, _OBJECTIVES))
        tree = {name: expand(dict(values)) for name, values in tree.items()}
        ranker = tree.get("ranker", {})
        if not isinstance(ranker.get("name"), str):
            raise ConfigError("no ranker.name", expected="[ranker] name", hint="`tastemaker models` lists rankers")
        kind = ranker_class(ranker["name"])
        for name, one in tree.get("sources", {}).items():
            if not isinstance(one, Mapping):
                raise ConfigError(f"sources.{name} = {one!r}", expected=f"a section [sources.{name}]")
        sources = {name: SourceConfig.parse(one, f"sources.{name}") for name, one in tree.get("sources", {}).items()}
        if not sources:
            raise ConfigError("no sources", expected="one [sources.NAME] or more, such as [sources.ease]")
        for name, source in sources.items():
            model = model_class(source.model or name)
            model.Config.parse(source.settings, f"sources.{name}.settings")
            TrainConfig.parse(source.train, f"sources.{name}.train")
        rows = RequestsConfig.parse(tree.get("rows", {}), "rows")
        return cls(
            data=DataConfig.parse(tree.get("data", {}), "data"),
            split=SplitConfig.parse(tree.get("split", {}), "split"),
            content=read_content(tree.get("content", {})),
            sources=sources,
            moments=MomentsConfig.parse(tree.get("moments", {}), "moments"),
            rows=rows,
            features=FeaturesConfig.parse(tree.get("features", {}), "features"),
            ranker_name=ranker["name"],
            ranker=kind.Config.parse({key: value for key, value in ranker.items() if key != "name"}, "ranker"),
            train=RowTrainConfig.parse(tree.get("train", {}), "train"),
            evaluate=StageEvaluateSection.parse(tree.get("evaluate", {}), "evaluate"),
            objectives=parse_objectives(tree.get(_OBJECTIVES, {}), rows.outputs),
            base=Path(base).resolve(),
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The resolved tree, defaults included, as plain values. Paths are absolute; passwords in addresses are masked."""
        names = tuple(name for name in _SECTIONS if name not in ("sources", "ranker"))
        tree = self._plain(names, _PATHS)
        tree["sources"] = {name: source.model_dump(mode="json", exclude_none=True) for name, source in self.sources.items()}
        tree["ranker"] = {"name": self.ranker_name, **self.ranker.model_dump(mode="json", exclude_none=True)}
        if not self.content.modalities:
            del tree["content"]
        if self.objectives:
            tree[_OBJECTIVES] = {name: one.model_dump(mode="json") for name, one in self.objectives.items()}
        return tree


_OBJECTIVES = "objectives"
_SECTIONS = ("data", "split", "content", "sources", "moments", "rows", "features", "ranker", "train", "evaluate")
_PATHS = {"data": ("events", "items", "users"), "split": ("train", "validation", "test", "negatives")}
