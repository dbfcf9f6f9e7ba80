"""The first stage of a two-stage run: each source fitted to the training side, and again to all that may be known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tastemaker.data.interactions import Interactions
from tastemaker.experiment import baselines, fit, stacking
from tastemaker.experiment.folder import state_of
from tastemaker.experiment.judge import Judge
from tastemaker.experiment.stage_config import SourceConfig
from tastemaker.log import logger
from tastemaker.models.base import Model
from tastemaker.recommend.scoring import Scoring
from tastemaker.recommend.sources import Source
from tastemaker.resolve import model_class
from tastemaker.settings import Settings
from tastemaker.train.config import TrainConfig
from tastemaker.train.loop import Record

OnRecord = Callable[[Record], None]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A source, and how it was made."""

    source: Source
    kind: str
    settings: Settings
    train: TrainConfig
    """with as many epochs as were best"""
    checkpoint: Path

    def again(self, judge: Judge, *, resume: bool, on_record: OnRecord | None) -> Source:
        """The same source, learned from train and validation."""
        logger.info("source %s", self.source.name)
        model = fit.build(self.kind, self.settings, judge.dataset.schema, self.train.seed)
        kept = self.checkpoint.with_stem(f"{self.checkpoint.stem}-again")
        _learn(model, judge, judge.split.refit, self.train, None, kept, resume, on_record)
        stacking.pass_on(self.source.model, model)
        return Source(self.source.name, Scoring(model.cpu()), self.source.depth)


def fitted(
    name: str, config: SourceConfig, judge: Judge, folder: Path, *, resume: bool, on_record: OnRecord | None, seed: int
) -> Fitted:
    """A source learned from the training side: validation chooses its epoch, or its settings where it has a grid and none are given."""
    logger.info("source %s", name)
    kind, train, checkpoint = config.model or name, judge.split.train, folder / f"source-{name}.safetensors"
    own = TrainConfig.parse({"seed": seed} | config.train, f"sources.{name}.train")
    if not config.settings and kind in baselines.GRIDS:
        tuned = baselines.tune(kind, judge.dataset, train, judge.chooser())
        return Fitted(Source(name, Scoring(tuned.model), config.depth), kind, tuned.model.config, own, checkpoint)
    asked = model_class(kind).Config.parse(config.settings, f"sources.{name}.settings")
    settings = fit.adapted(kind, asked, train, own.loss)
    model = fit.build(kind, settings, judge.dataset.schema, own.seed)
    own = fit.chosen(model, train, own)
    _learn(model, judge, train, own, judge.chooser(), checkpoint, resume, on_record)
    stacking.learn(model, judge)
    if checkpoint.exists():
        state: dict[str, Any] = state_of(checkpoint)
        own = own.model_copy(update={"epochs": state["best_epoch"] or state["epoch"]})
    return Fitted(Source(name, Scoring(model.cpu()), config.depth), kind, settings, own, checkpoint)


def _learn(
    model: Model,
    judge: Judge,
    interactions: Interactions,
    config: TrainConfig,
    validate: Callable[[Model], float] | None,
    checkpoint: Path,
    resume: bool,
    on_record: OnRecord | None,
) -> None:
    for record in fit.fit(
        model, interactions, config, dataset=judge.dataset, validate=validate, checkpoint=checkpoint, resume=resume
    ):
        if on_record:
            on_record(record)
