"""RankConfig: the whole TOML of a run that trains a ranker on labelled rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from tastemaker.data.features.config import FeaturesConfig
from tastemaker.data.propensity import PropensityConfig
from tastemaker.data.rows import RowsConfig, RowSplitConfig
from tastemaker.errors import ConfigError
from tastemaker.experiment.sections import Sections, check_sections
from tastemaker.recommend.objective import Objective, parse_objectives
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
_PROPENSITY, _OBJECTIVES = "propensity", "objectives"
"""sections without which nothing changes"""
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
    propensity: PropensityConfig | None
    """None: rows are taken as they are"""
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
        check_sections(tree, (*_SECTIONS, _PROPENSITY, _OBJECTIVES))
        tree = {name: expand(dict(values)) for name, values in tree.items()}
        model = tree.get("model", {})
        if not isinstance(model.get("name"), str):
            raise ConfigError("no model.name", expected="[model] name", hint="`tastemaker models` lists them")
        kind = ranker_class(model["name"])
        for name in tree.get("evaluate", {}).get("baselines", ()):
            ranker_class(str(name))
        data = RowsConfig.parse(tree.get("data", {}), "data")
        objectives = parse_objectives(tree.get(_OBJECTIVES, {}), None if data.classes else data.labels)
        features = FeaturesConfig.parse(tree.get("features", {}), "features")
        train = RowTrainConfig.parse(tree.get("train", {}), "train")
        evaluate = RowEvaluateConfig.parse(tree.get("evaluate", {}), "evaluate")
        propensity = PropensityConfig.parse(tree[_PROPENSITY], _PROPENSITY) if _PROPENSITY in tree else None
        if propensity is not None:
            if features.position is not None:
                raise ConfigError(
                    "features.position beside [propensity]", expected="one of the two", hint="each mends the bias alone"
                )
            if data.classes or evaluate.select != "auc":
                found = "data.classes" if data.classes else f"evaluate.select = {evaluate.select!r}"
                raise ConfigError(f"{found} beside [propensity]", expected="labels of 0 and 1, and select = 'auc'")
            if train.calibrate is not None:
                hint = "what is seen on the validation side is not what would be seen by all"
                raise ConfigError("train.calibrate beside [propensity]", expected="one of the two", hint=hint)
        return cls(
            data=data,
            split=RowSplitConfig.parse(tree.get("split", {}), "split"),
            features=features,
            model_name=model["name"],
            model=kind.Config.parse({key: value for key, value in model.items() if key != "name"}, "model"),
            train=train,
            evaluate=evaluate,
            propensity=propensity,
            objectives=objectives,
            base=Path(base).resolve(),
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The resolved tree, defaults included, as plain values. Paths are absolute; passwords in addresses are masked."""
        tree = self._tree(_SECTIONS, _PATHS)
        if self.propensity is not None:
            tree[_PROPENSITY] = self.propensity.model_dump(mode="json", exclude_none=True)
        if self.objectives:
            tree[_OBJECTIVES] = {name: one.model_dump(mode="json") for name, one in self.objectives.items()}
        return tree
