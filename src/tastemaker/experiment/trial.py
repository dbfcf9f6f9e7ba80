"""Trial: a config tried on validation alone. It can be stopped after any epoch and gone on with later; test is never looked at."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from tastemaker.data.dataset import Dataset
from tastemaker.data.splits import Split
from tastemaker.errors import DataError
from tastemaker.experiment import fit, stacking
from tastemaker.experiment.config import Config
from tastemaker.experiment.judge import Judge
from tastemaker.experiment.space import applied
from tastemaker.models.base import Model
from tastemaker.train.loop import Record


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
    asked: dict[str, Any] = field(default_factory=dict)
    """the values that were asked for, by name such as "model.dim" """
    metric: float = -math.inf
    """higher better"""
    spread: float = 0.0
    """half the width of its 95 % interval over users; 0 for ratings"""
    best_epoch: int | None = None
    epochs: int = 0
    """done so far; 0 for models that are solved"""
    share: float = 0.0
    """of the epoch under way that is done"""
    seconds: float = 0.0
    """spent so far, validation included"""
    finished: bool = False
    cut: bool = False
    """whether it was closed before its end: its config would train it longer"""
    _weights: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def begin(cls, config: Config, material: Material, values: Mapping[str, Any] | None = None) -> Trial:
        """A trial of a config with other `values` of some settings, which has not learned yet.

        Raises:
            ConfigError: the values do not fit each other.
        """
        config = resolved(applied(config, values or {}), material)
        model = fit.build(config.model_name, config.model, material.dataset.schema, config.train.seed)
        return cls(config, material, model, dict(values or {}))

    def __post_init__(self) -> None:
        self._records = self._fitted()
        judge = self.material.judge
        self._values: Callable[[Model], np.ndarray] | None = None if judge.ratings else judge.values()

    @property
    def solved(self) -> bool:
        """Whether it is done in one step."""
        return fit.is_solved(self.model)

    def go(self, epochs: int | None = None, until: float = math.inf) -> Iterator[Record]:
        """Goes on, record by record, until so many epochs are done (default: all) or the moment `until` of `time.monotonic`.

        Whoever stops asking may go on later; only at the end of an epoch, where another trial goes on meanwhile.
        """
        if self.finished or (epochs and self.epochs >= epochs):
            return
        began = time.monotonic()
        for record in self._records:
            self.seconds += time.monotonic() - began
            self.epochs, self.share = (record.epoch, 0.0) if record.complete else (record.epoch - 1, record.share)
            yield record
            if (epochs and self.epochs >= epochs) or time.monotonic() > until:
                return
            began = time.monotonic()
        self.seconds += time.monotonic() - began
        self.finished, self._weights = True, {}

    def close(self) -> Model:
        """The model with the best weights it had, however far training came; it cannot go on."""
        if not self.finished:
            self._records.close()
            if self._weights:
                self.model.load_state_dict(self._weights)
            self.finished, self.cut, self._weights = True, True, {}
            self.model.forget()
        return self.model.eval()

    def _fitted(self) -> Generator[Record, None, None]:
        train, dataset = self.material.split.train, self.material.dataset
        validate = None if self.solved else self._judged
        yield from fit.fit(self.model, train, self.config.train, dataset=dataset, validate=validate)
        if self.solved:
            stacking.learn(self.model, self.material.judge)
            self._judged(self.model)

    def _judged(self, model: Model) -> float:
        if self._values is None:
            metric, spread = self.material.judge.chooser()(model), 0.0
        else:
            values = self._values(model)
            metric, spread = float(values.mean()), 1.96 * float(values.std()) / math.sqrt(len(values))
        if metric > self.metric:
            self.metric, self.spread = metric, spread
            if not self.solved:
                self.best_epoch = self.epochs + 1
                self._weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        return metric
