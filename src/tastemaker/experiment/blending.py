"""Blending: whether a few fitted models together do better on validation than the best alone, under given weights or learned ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tastemaker.experiment.stacking import crossed
from tastemaker.experiment.trial import Material, Trial
from tastemaker.models.base import Model
from tastemaker.models.blend import Blend, Part

WEIGHTS = (0.25, 0.5, 1.0)
"""of a part that is added, where the first has 1"""
PARTS = 3
"""models in a blend at most"""
MARGIN = 0.005
"""share by which a blend must do better than one model less, as it costs more to answer and was chosen from many"""


@dataclass(frozen=True, eq=False)
class Blended:
    """The best blend found."""

    model: Blend
    trials: tuple[Trial, ...]
    metric: float
    """of learned weights: under those learned from the users who are not judged"""
    spread: float
    """half the width of its 95 % interval over users"""
    tried: int


def blend(
    material: Material, trials: Sequence[Trial], until: float = math.inf, tick: Callable[[], None] = lambda: None
) -> Blended | None:
    """The best blend of some trials, grown from the best one by one (Caruana et al. 2004, "Ensemble selection from libraries of models").

    Then weights are learned for what has come out, or for the first `PARTS` trials where nothing has, with and without a gate.

    Args:
        material: brings the questions.
        trials: finished ones, best first; the first is part of the blend.
        until: the moment of `time.monotonic` after which no further blend is tried.
        tick: called between two.

    Returns:
        None where nothing is better than the first alone by `MARGIN`.
    """
    values = material.judge.values()
    chosen, weights, best, tried = [trials[0]], [1.0], trials[0].metric, 0
    found: tuple[Blend, np.ndarray] | None = None
    while len(chosen) < PARTS:
        rounds: list[tuple[float, Trial, float, Blend, np.ndarray]] = []
        for trial in trials:
            if trial in chosen:
                continue
            joined = made([*chosen, trial], [*weights, 1.0])
            for weight in WEIGHTS:
                if time.monotonic() > until:
                    break
                one = joined.weighted([*weights, weight])
                judged = values(one)
                rounds.append((float(judged.mean()), trial, weight, one, judged))
                tried += 1
                tick()
        if not rounds:
            break
        metric, trial, weight, one, judged = max(rounds, key=lambda row: row[0])
        if metric <= best * (1 + MARGIN):
            break
        chosen, weights, best, found = [*chosen, trial], [*weights, weight], metric, (one, judged)
    parts = chosen if found is not None else list(trials[:PARTS])
    for gate in ("none", "length"):
        if len(parts) < 2 or time.monotonic() > until:
            break
        one = made(parts, gate=gate)
        judged = crossed(one, material.judge)
        tried += 1
        tick()
        if judged.mean() > best * (1 + MARGIN):
            chosen, best, found = parts, float(judged.mean()), (one, judged)
    if found is None:
        return None
    model, judged = found
    return Blended(model, tuple(chosen), best, 1.96 * float(judged.std()) / math.sqrt(len(judged)), tried)


def made(trials: Sequence[Trial], weights: Sequence[float] | None = None, *, gate: str = "none") -> Blend:
    """A blend of the models of trials, which are not copied; its config makes and trains the same again.

    Args:
        trials: of the parts.
        weights: None: they are to be learned.
        gate: of learned weights.
    """
    parts, models = [], list[Model]()
    for place, trial in enumerate(trials):
        settings = trial.config.model.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        train = {}
        if not trial.solved:
            train = trial.config.train.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"refit"})
        weight = 1.0 if weights is None else weights[place]
        parts.append(Part(model=trial.config.model_name, weight=weight, settings=settings, train=train))
        models.append(trial.model.cpu())  # where those that are solved are
    learned = {"weights": "learned", "gate": gate} if weights is None else {}
    return Blend(Blend.Config.parse({"parts": tuple(parts), **learned}), trials[0].material.dataset.schema, models).eval()
