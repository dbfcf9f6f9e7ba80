"""Trial: a config tried on validation alone. It can be stopped after any epoch and gone on with later; test is never looked at."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from tastemaker.data.dataset import Dataset
from tastemaker.data.splits import Split
from tastemaker.errors import DataError
from tastemaker.experiment import fit
from tastemaker.experiment.config import Config
from tastemaker.experiment.judge import Judge
from tastemaker.models.base import Model
from tastemaker.train.trainer import Record


@dataclass(frozen=True, eq=False)
class Material:
    """What trials share: the data, and who judges on validation."""

    dataset: Dataset
    split: Split
    judge: Judge

    @classmethod
    def of(cls, config: Config, dataset: Dataset, split: Split) -> Material:
        """The material of a config.

        Raises:
            DataError: nobody is asked on the validation side, so nothing can be chosen.
        """
        judge = Judge(dataset, split, config.evaluate, ratings=config.train.loss == "squared_error")
        if not judge.can_choose:
            raise DataError(
                "no validation side", expected="users to choose settings by", hint="let [split] keep rows for validation"
            )
        return cls(dataset, split, judge)


def resolved(config: Config, material: Material) -> Config:
    """The config with every choice made that it leaves to the data."""
    train = material.split.train
    config = replace(config, model=fit.adapted(config.model_name, config.model, train, config.train.loss))
    model = fit.build(config.model_name, config.model, material.dataset.schema, config.train.seed)
    return replace(config, train=fit.chosen(model, train, config.train))


@dataclass(eq=False)
class Trial:
    """A model that is being fitted, and the best that it did on validation so far."""

    config: Config
    """with every open choice made"""
    material: Material
    model: Model
    metric: float = -math.inf
    """higher better"""
    spread: float = 0.0
    """half the width of its 95 % interval over users; 0 for ratings"""
    best_epoch: int | None = None
    epochs: int = 0
    """done so far; 0 for models that are solved"""
    seconds: float = 0.0
    """spent so far, validation included"""
    finished: bool = False
    _weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def begin(cls, config: Config, material: Material) -> Trial:
        """A trial that has not learned yet."""
        config = resolved(config, material)
        model = fit.build(config.model_name, config.model, material.dataset.schema, config.train.seed)
        return cls(config, material, model)

    def __post_init__(self) -> None:
        self._records = self._fitted()

    @property
    def solved(self) -> bool:
        """Whether it is done in one step."""
        return fit.is_solved(self.model)

    def go(self, epochs: int | None = None, until: float = math.inf) -> Trial:
        """Goes on to so many epochs (default: to the end) or to the moment `until` of `time.monotonic`; at least one record."""
        for record in self.records():
            if (epochs and record.complete and record.epoch >= epochs) or time.monotonic() > until:
                break
        return self

    def records(self) -> Iterator[Record]:
        """Goes on record by record; whoever stops asking for more may go on later."""
        began = time.monotonic()
        for record in self._records:
            self.seconds += time.monotonic() - began
            yield record
            began = time.monotonic()
        if not self.finished:
            self.seconds += time.monotonic() - began
            self.finished, self._weights = True, {}

    def close(self) -> Model:
        """The model with the best weights it had, however far training came; it cannot go on."""
        if not self.finished:
            self._records.close()
            if self._weights:
                self.model.load_state_dict(self._weights)
            self.finished, self._weights = True, {}
            self.model.forget()
        return self.model.eval()

    def _fitted(self) -> Iterator[Record]:  # type: ignore[override]
        train = self.material.split.train
        for record in fit.fit(self.model, train, self.config.train, validate=None if self.solved else self._judged):
            self.epochs = record.epoch if record.complete else self.epochs
            yield record
        if self.solved:
            self._judged(self.model)

    def _judged(self, model: Model) -> float:
        judge = self.material.judge
        if judge.ratings:
            metric, spread = judge.chooser()(model), 0.0
        else:
            values = judge.values()(model)
            metric, spread = float(values.mean()), 1.96 * float(values.std()) / math.sqrt(len(values))
        if metric > self.metric:
            self.metric, self.spread = metric, spread
            if not self.solved:
                self.best_epoch = self.epochs + 1
                self._weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        return metric
