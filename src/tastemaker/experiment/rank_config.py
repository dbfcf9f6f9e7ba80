"""RankConfig: the whole TOML of a run that trains a ranker on labelled rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tastemaker.data.features.config import FeaturesConfig
from tastemaker.data.rows import RowsConfig, RowSplitConfig
from tastemaker.errors import ConfigError
from tastemaker.experiment.sections import Sections, check_sections
from tastemaker.recommend.objective import Objective
from tastemaker.resolve import ranker_class
from tastemaker.settings import Settings, expand
from tastemaker.train.rows import RowTrainConfig


class RowEvaluateConfig(Settings):
    """The `[evaluate]` section of a ranker."""

    select: Literal["auc", "log_loss", "grouped_auc"] = Field(
        "auc",
        description="what chooses the epoch on the validation side: the mean over labels; classes are chosen by their log loss",
    )
    baselines: tuple[str, ...] = Field(("lr",), description="rankers fitted with their defaults and judged on the same rows")
    threshold: float | Literal["f1", "accuracy"] | None = Field(
        None,
        description="from which probability on a row is acted upon: a number, or what is best on validation by f1 or accuracy",
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="of intervals")


_SECTIONS = ("data", "split", "features", "model", "train", "evaluate")
_OBJECTIVES = "objectives"
_PATHS = {"data": ("rows",), "split": ("train", "validation", "test")}


@dataclass(frozen=True)
class RankConfig(Sections):
    """All sections, checked."""

    data: RowsConfig
    split: RowSplitConfig
    features: FeaturesConfig
    model_name: str
    model: Settings
    train: RowTrainConfig
    evaluate: RowEvaluateConfig
    objectives: dict[str, Objective]
    """by scenario; the first is the one that is meant where none is named"""
    base: Path
    """the folder that relative paths start from"""

    @classmethod
    def parse(cls, tree: Mapping[str, Any], base: Path | str = ".") -> RankConfig:
        """Checks a tree as read from TOML. `${NAME}` in texts stands for environment variables.

        Raises:
            ConfigError: a section or key is unknown (the nearest known one is named), missing, out of range or without effect.
        """
        check_sections(tree, (*_SECTIONS, _OBJECTIVES))
        tree = {name: expand(dict(values)) for name, values in tree.items()}
        model = tree.get("model", {})
        if not isinstance(model.get("name"), str):
            raise ConfigError("no model.name", expected="[model] name", hint="`tastemaker models` lists them")
        kind = ranker_class(model["name"])
        for name in tree.get("evaluate", {}).get("baselines", ()):
            ranker_class(str(name))
        data = RowsConfig.parse(tree.get("data", {}), "data")
        objectives = {}
        for name, values in tree.get(_OBJECTIVES, {}).items():
            if not isinstance(values, Mapping):
                raise ConfigError(f"{_OBJECTIVES}.{name} = {values!r}", expected=f"a section [{_OBJECTIVES}.{name}]")
            objectives[name] = Objective.parse(values, f"{_OBJECTIVES}.{name}")
            if not data.classes:
                objectives[name].check(data.labels)
        return cls(
            data=data,
            split=RowSplitConfig.parse(tree.get("split", {}), "split"),
            features=FeaturesConfig.parse(tree.get("features", {}), "features"),
            model_name=model["name"],
            model=kind.Config.parse({key: value for key, value in model.items() if key != "name"}, "model"),
            train=RowTrainConfig.parse(tree.get("train", {}), "train"),
            evaluate=RowEvaluateConfig.parse(tree.get("evaluate", {}), "evaluate"),
            objectives=objectives,
            base=Path(base).resolve(),
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The resolved tree, defaults included, as plain values. Paths are absolute; passwords in addresses are masked."""
        tree = self._tree(_SECTIONS, _PATHS)
        if self.objectives:
            tree[_OBJECTIVES] = {name: one.model_dump(mode="json") for name, one in self.objectives.items()}
        return tree
