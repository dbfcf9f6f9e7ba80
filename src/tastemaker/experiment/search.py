"""Search: which models are tried with which settings, for how long, and which of them is taken; `auto` says in what order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tastemaker.errors import TastemakerError, TrainingError
from tastemaker.experiment.baselines import Baseline
from tastemaker.experiment.blending import Blended, blend
from tastemaker.experiment.candidates import CANDIDATES, IMPERSONAL, Candidate, Look
from tastemaker.experiment.config import BASELINES, Config
from tastemaker.experiment.space import default_space, drawn
from tastemaker.experiment.stacking import learns
from tastemaker.experiment.trial import Material, Trial
from tastemaker.log import logger
from tastemaker.train.config import TrainConfig

Tell = Callable[[float, str, str], None]
"""Told the share of the time that is over, what is going on, and a line for what has ended ("" for nothing new)."""

_SIMPLE, _SEARCH, _BLEND = 0.3, 0.75, 0.9
"""shares of the time after which simple models, all trials and blending end; the rest is for the test side and for saving"""
_FEWEST = 3
"""epochs below which a model is not tried"""
_IDLE = 2
"""rounds in a row that bring nothing, after which there are no more"""


@dataclass(frozen=True)
class Tried:
    """A line of the account."""

    model: str
    settings: dict[str, Any]
    metric: float | None
    spread: float
    seconds: float
    epochs: int | None
    why: str
    """why it ended, or was not tried"""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        interval = None if self.metric is None else [self.metric - self.spread, self.metric + self.spread]
        seconds = round(self.seconds, 2)
        return {**vars(self), "spread": round(self.spread, 6), "interval": interval, "seconds": seconds}


@dataclass(eq=False)
class Search:
    """The trials of a search, and what they come to; see `auto`."""

    config: Config
    """of the data, the split and the judging"""
    material: Material
    train: TrainConfig
    """what holds for all models"""
    began: float
    seconds: float
    tell: Tell
    candidates: Sequence[Candidate] = CANDIDATES
    lines: list[Tried] = field(default_factory=list)
    kept: dict[str, Trial] = field(default_factory=dict)
    """the best finished trial of each model"""
    blended: Blended | None = None

    def __post_init__(self) -> None:
        self.look = Look.at(self.material.dataset, self.material.split)
        self.rng = np.random.default_rng(self.train.seed)
        self.tell(0.0, "", self.look.to_text())

    def share(self) -> float:
        """Of the time that is over."""
        return min(1.0, (time.monotonic() - self.began) / self.seconds)

    def at(self, share: float) -> float:
        """The moment when so much of the time is over."""
        return self.began + share * self.seconds

    def run(self) -> None:
        """Tries until the time is up, Ctrl-C is pressed or nothing better is found."""
        try:
            suits = []
            for candidate in self.candidates:
                if reason := candidate.reason_against(self.look):
                    self._note(Tried(candidate.name, {}, None, 0.0, 0.0, None, f"not tried: {reason}"))
                else:
                    suits.append(candidate)
            self._solve([candidate for candidate in suits if candidate.solved], self.at(_SIMPLE))
            learned = [self._planned(one, sum(not other.solved for other in suits)) for one in suits if not one.solved]
            self._halve([trial for trial in learned if trial is not None], 2)
            idle = 0
            while idle < _IDLE and time.monotonic() < self.at(_SEARCH):
                before = {name: trial.metric for name, trial in self.kept.items()}
                self._round()
                idle = 0 if any(trial.metric > before.get(name, -math.inf) for name, trial in self.kept.items()) else idle + 1
            self._blend()
        except KeyboardInterrupt:
            logger.warning("interrupted: what is best until now is taken")
            if not self.kept:
                raise

    def winner(self) -> tuple[Trial | Blended, str]:
        """What did best, and why it is taken."""
        ranked = self._ranked()
        personal = [trial for trial in ranked if trial.config.model_name not in IMPERSONAL]
        if not ranked:
            reasons = "; ".join(f"{one.model}: {one.why}" for one in self.lines)
            raise TrainingError(f"no model could be tried: {reasons}", hint="give it more minutes")
        best, metric = (personal or ranked)[0], self.material.judge.metric
        told = ", ".join(f"{trial.config.model_name} {trial.metric:.4f}" for trial in ranked[:3])
        if self.blended is not None:
            names = " + ".join(part.model for part in self.blended.model.config.parts)
            return self.blended, f"{metric} on validation: {self.blended.metric:.4f} of {names} together, alone {told}"
        why = f"{metric} on validation: {told}"
        if ranked[0] is not best:
            why += f"; {ranked[0].config.model_name} leads but says the same to everybody"
        elif len(ranked) > 1:
            why += "; no blend does better"
        return best, f"{why}; {best.config.model_name} is taken"

    def rivals(self) -> dict[str, Baseline]:
        """What the report sets beside the winner, as it was tuned here."""
        found = {}
        for name in self.config.evaluate.baselines:
            trial = self.kept.get(name)
            if trial is not None and trial.solved:
                settings = trial.config.model.model_dump(exclude_unset=True, exclude_none=True)
                tried = sum(one.model == name and one.metric is not None for one in self.lines)
                found[name] = Baseline(name, settings, tried, trial.metric, trial.model)
        return found

    def account(self) -> list[Tried]:
        """All that was tried, best first; what was not, last."""
        return sorted(self.lines, key=lambda one: -math.inf if one.metric is None else one.metric, reverse=True)

    def _solve(self, candidates: Sequence[Candidate], until: float) -> None:
        """Tries the first settings of each, then the second, … as long as another seems to fit; the baselines' first in any case."""
        grids = {one.name: one.grid(self.material.split.train.has_times) for one in candidates}
        took = dict.fromkeys(grids, 0.0)
        for depth in range(max(map(len, grids.values()), default=0)):
            for name, grid in grids.items():
                always = depth == 0 and name in BASELINES
                if depth >= len(grid) or (time.monotonic() + took[name] > until and not always):
                    continue
                trial = self._begin(name, {f"model.{key}": value for key, value in grid[depth].items()})
                if trial is not None and self._go(trial):
                    took[name] = trial.seconds
                    self._end(trial, "finished")
        for name, grid in grids.items():
            left = len(grid) - sum(one.model == name for one in self.lines)
            if left:
                self._note(
                    Tried(name, {}, None, 0.0, 0.0, None, f"{left} of {len(grid)} settings not tried: the time was over")
                )

    def _planned(self, candidate: Candidate, count: int) -> Trial | None:
        """A trial with the defaults whose epochs fit into its part of the time, two of them along; None where too few fit."""
        first = {f"model.{key}": value for key, value in candidate.settings[0].items()}
        trial = self._begin(candidate.name, first)
        until = time.monotonic() + (self.at(_SEARCH) - time.monotonic()) / max(2, count)
        if trial is None or not self._go(trial, 1, until):
            return None
        warm = trial.seconds
        if trial.epochs and not self._go(trial, 2):
            return None
        epoch = trial.seconds - warm if trial.epochs > 1 else trial.seconds / max(trial.share, 1e-9)  # the first one warms up
        fits = int((self.at(_SEARCH) - time.monotonic()) / epoch / (0.3 * count + 0.7)) if trial.epochs else 0
        planned = trial.config.train.epochs or 1
        if fits >= planned or trial.finished:
            return trial
        if fits < _FEWEST:
            self._end(trial, f"stopped after {trial.epochs} epochs: {_FEWEST} would take {epoch * _FEWEST / 60:.1f} minutes")
            return None
        # begun anew, as the learning rate is to fall to its end within what fits
        again = self._begin(candidate.name, {**first, "train.epochs": fits})
        return again if again is not None and self._go(again, 1) else None

    def _halve(self, trials: list[Trial], least: int) -> None:
        """Trains on a quarter, half and all of the way, the better half and `least` of them each time; ties go to the earlier."""
        for part in (4, 2, 1):
            for trial in list(trials):
                epochs = -(-(trial.config.train.epochs or 1) // part)
                if not self._go(trial, epochs if part > 1 else None, self.at(_SEARCH)):
                    trials.remove(trial)
                elif time.monotonic() > self.at(_SEARCH):
                    trials.remove(trial)
                    trial.close()
                    self._end(trial, f"the time was over after {trial.epochs} of {trial.config.train.epochs} epochs")
            trials.sort(key=lambda trial: -trial.metric)
            keep = len(trials) if part == 1 else max(least, -(-len(trials) // 2))
            for trial in trials[keep:]:
                self._end(trial, f"behind the better half after {trial.epochs} of {trial.config.train.epochs} epochs")
            trials = trials[:keep]
        for trial in trials:
            self._end(
                trial, "finished" if trial.epochs == trial.config.train.epochs else f"no better since epoch {trial.best_epoch}"
            )

    def _round(self) -> None:
        """Draws settings around the best of the leading models: three for two that are solved, three and one for two that learn."""
        ranked = self._ranked()
        solved = [trial for trial in ranked if trial.solved and trial.config.model_name not in IMPERSONAL][:2]
        for best in solved:
            for values in self._drawn(best, 3):
                if time.monotonic() + best.seconds < self.at(_SEARCH):
                    trial = self._begin(best.config.model_name, values)
                    if trial is not None and self._go(trial):
                        self._end(trial, "finished")
        learned = [trial for trial in ranked if not trial.solved][:2]
        for best, most in zip(learned, (3, 1), strict=False):
            whole = best.seconds / max(1, best.epochs) * (best.config.train.epochs or 1)
            left = (self.at(_SEARCH) - time.monotonic()) / whole
            draws = 0 if left < 1 else 1 if left < 0.5 + most * 0.5 else most  # what halving costs, in whole trainings
            begun = [self._begin(best.config.model_name, values) for values in self._drawn(best, draws)]
            self._halve([trial for trial in begun if trial is not None], 1)

    def _drawn(self, best: Trial, count: int) -> list[dict[str, Any]]:
        """Settings around those of a trial: half of them stay, so that what is good is kept while the rest is tried."""
        space = default_space(best.config, has_times=self.look.ordered)
        return [
            best.asked
            | {key: value for key, value in drawn(space, self.rng).items() if self.rng.random() < 0.5 or len(space) == 1}
            for _ in range(count if space else 0)
        ]

    def _blend(self) -> None:
        ranked = self._ranked()
        if len(ranked) < 2:
            return
        begun = time.monotonic()
        tick = lambda: self.tell(self.share(), "blending", "")
        found = blend(self.material, ranked[:6], self.at(_BLEND), tick)
        if found is None:
            return
        self.blended = found
        parts: dict[str, Any] = {part.model: part.weight for part in found.model.config.parts}
        if learns(found.model):
            parts = dict.fromkeys(parts, "learned") | {"gate": found.model.config.gate}
        why = f"the best of {found.tried} blends"
        self._note(Tried("blend", parts, found.metric, found.spread, time.monotonic() - begun, None, why))

    def _begin(self, name: str, values: Mapping[str, Any]) -> Trial | None:
        """A trial of a model with some settings; None where they do not fit each other."""
        try:
            bare = Config.parse({"model": {"name": name}})
            config = replace(self.config, model_name=name, model=bare.model, train=self.train)
            return Trial.begin(config, self.material, values)
        except TastemakerError as error:
            self._note(Tried(name, _short(values), None, 0.0, 0.0, None, f"failed: {error}"))
            return None

    def _go(self, trial: Trial, epochs: int | None = None, until: float = math.inf) -> bool:
        """Whether it went well."""
        name = trial.config.model_name
        try:
            for record in trial.go(epochs, until):
                self.tell(self.share(), f"{name}, epoch {record.epoch} of {record.epochs}", "")
            self.tell(self.share(), name, "")
        except TastemakerError as error:
            self._note(Tried(name, _short(trial.asked), None, 0.0, trial.seconds, trial.epochs, f"failed: {error}"))
            return False
        return True

    def _end(self, trial: Trial, why: str) -> None:
        """Enters a trial into the account; the best of a model that came to an end is kept, others let go of their memory."""
        name, metric = trial.config.model_name, trial.metric if math.isfinite(trial.metric) else None
        epochs = None if trial.solved else trial.epochs
        self._note(Tried(name, _short(trial.asked), metric, trial.spread, trial.seconds, epochs, why))
        if metric is not None and trial.finished and (name not in self.kept or metric > self.kept[name].metric):
            self.kept[name] = trial

    def _note(self, one: Tried) -> None:
        self.lines.append(one)
        figure = "" if one.metric is None else f" {one.metric:.4f} ± {one.spread:.4f}"
        settings = ", ".join(
            f"{key} {f'{value:.4g}' if isinstance(value, float) else value}" for key, value in one.settings.items()
        )
        took = f" in {one.seconds:.1f} s" if one.seconds else ""
        self.tell(self.share(), "", f"{one.model}{f' ({settings})' if settings else ''}:{figure}{took}, {one.why}")

    def _ranked(self) -> list[Trial]:
        return sorted(self.kept.values(), key=lambda trial: -trial.metric)


def _short(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name.partition(".")[2]: value for name, value in values.items()}
