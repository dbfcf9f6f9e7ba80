"""Config: the whole TOML of a run, each section a class beside the code it configures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from tastemaker.data.config import DataConfig
from tastemaker.data.item_contents import ContentConfig
from tastemaker.data.splits import SplitConfig
from tastemaker.errors import ConfigError
from tastemaker.evaluate.evaluator import EvaluateConfig
from tastemaker.experiment.contents import read_content
from tastemaker.experiment.sections import Sections, check_sections
from tastemaker.experiment.space import Space, parse_space
from tastemaker.models.base import Solvable
from tastemaker.resolve import model_class
from tastemaker.settings import Settings, expand, override, read_toml
from tastemaker.train.config import TrainConfig

BASELINES = ("popularity", "item_knn", "ease")


class EvaluateSection(EvaluateConfig):
    """The `[evaluate]` section: what is measured, and what the model is set beside."""

    baselines: tuple[str, ...] = BASELINES
    """models tuned on validation and judged on the same questions; an empty list for none"""
    select: str | None = None
    """the validation metric that chooses epochs and settings; default: ndcg at 10, or at the largest k; rmse for ratings"""
    batch_size: int | None = Field(None, ge=1)
    """users scored at a time; default: what fits into memory"""


class RunSection(Settings):
    """The `[run]` section."""

    writers: tuple[str, ...] = ()
    """"tensorboard", "mlflow", "wandb": where records go besides `records.jsonl` """
    start_from: str | None = None
    """an artifact whose weights a model of the same kind begins with; rows of users and items are matched by id"""


@dataclass(frozen=True)
class Config(Sections):
    """All sections, checked."""

    data: DataConfig
    split: SplitConfig
    content: ContentConfig
    model_name: str
    model: Settings
    train: TrainConfig
    evaluate: EvaluateSection
    run: RunSection
    base: Path
    """the folder that relative paths start from"""
    tune: Space = field(default_factory=dict)
    """what `tastemaker tune` searches; no part of what a run is"""

    @classmethod
    def parse(cls, tree: Mapping[str, Any], base: Path | str = ".") -> Config:
        """Checks a tree as read from TOML. `${NAME}` and `${NAME:-default}` in texts stand for environment variables.

        Raises:
            ConfigError: a section or key is unknown (the nearest known one is named), missing, out of range or without effect.
        """
        check_sections(tree, (*_SECTIONS, _TUNE))
        tree = {name: expand(dict(values)) for name, values in tree.items()}
        model = tree.get("model", {})
        if not isinstance(model.get("name"), str):
            raise ConfigError("no model.name", expected="[model] name", hint="`tastemaker models` lists them")
        kind = model_class(model["name"])
        settings = kind.Config.parse({key: value for key, value in model.items() if key != "name"}, "model")
        train, split = tree.get("train", {}), SplitConfig.parse(tree.get("split", {}), "split")
        if issubclass(kind, Solvable):
            idle = next((key for key in train if key in TrainConfig.model_fields and key != "refit"), None)
            if idle:
                raise ConfigError(
                    f"train.{idle} = {train[idle]!r}, which has no effect: {model['name']} is solved in one step",
                    hint=f"remove train.{idle}",
                )
        for part in getattr(settings, "parts", ()):
            TrainConfig.parse(part.train, f"model.parts.{part.model}.train")
        # given files without validation: some of train chooses, and is then learned from as the protocol of those files has it
        carved = split.kind == "given" and split.validation is None and split.validation_share != 0
        return cls(
            data=DataConfig.parse(tree.get("data", {}), "data"),
            split=split,
            content=read_content(tree.get("content", {})),
            model_name=model["name"],
            model=settings,
            train=TrainConfig.parse({"refit": carved} | train, "train"),
            evaluate=EvaluateSection.parse(tree.get("evaluate", {}), "evaluate"),
            run=RunSection.parse(tree.get("run", {}), "run"),
            base=Path(base).resolve(),
            tune=parse_space(tree.get(_TUNE, {}), kind.Config, issubclass(kind, Solvable)),
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The resolved tree, defaults included, as plain values. Paths are absolute; passwords in addresses are masked."""
        tree = self._tree(_SECTIONS, _PATHS)
        if not self.content.modalities:
            del tree["content"]
        if issubclass(model_class(self.model_name), Solvable):
            tree["train"] = {"refit": self.train.refit}
        return tree


_SECTIONS = ("data", "split", "content", "model", "train", "evaluate", "run")
_TUNE = "tune"
_PATHS = {"data": ("events", "items", "users"), "split": ("train", "validation", "test", "negatives"), "run": ("start_from",)}


def read_config(path: Path | str, overrides: Iterable[str] = ()) -> Config:
    """Reads a config file and applies `a.b=value` overrides; relative paths start at the file's folder.

    Raises:
        ConfigError: see `Config.parse`.
    """
    path = Path(path)
    return Config.parse(override(read_toml(path), overrides), path.resolve().parent)
