"""Study: the trials of a search, kept by Optuna in a file that several processes append to; the only module that knows Optuna."""

from __future__ import annotations

import fcntl
import importlib
import logging
import math
import os
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from tastemaker.data.dataset import Dataset
from tastemaker.data.splits import split
from tastemaker.errors import MissingExtraError, TastemakerError
from tastemaker.experiment.config import Config
from tastemaker.experiment.ledger import Ledger, Run, holding
from tastemaker.experiment.space import Range, Space, applied, is_whole
from tastemaker.experiment.trial import Material, Trial
from tastemaker.experiment.writers import JsonLines

_LOG, _LOCK, _DATA, _CONFIG, _RECORDS = "study.log", "study.lock", "data", "config.toml", "records.jsonl"
_STARTUP = 6
"""trials drawn at random before the sampler learns from them, and complete ones before any is pruned"""
_REPEATS = 20
"""draws in a row of values that were tried already, after which a process takes the space to be exhausted"""


@dataclass(frozen=True)
class Attempt:
    """A trial that ended."""

    number: int
    values: dict[str, Any]
    metric: float
    """the best on validation, higher better; -inf where it failed"""
    spread: float
    """half the width of its 95 % interval over users"""
    epochs: int | None
    """done; 0 for models that are solved; None where it failed"""
    best_epoch: int | None
    seconds: float
    why: str
    """why it ended"""

    def to_dict(self, sign: int) -> dict[str, Any]:
        """Plain values for JSON; `sign` -1 where lower is better."""
        failed = self.epochs is None
        return {
            "trial": self.number,
            "settings": self.values,
            "metric": None if failed else sign * self.metric,
            "interval": None if failed else [sign * self.metric - self.spread, sign * self.metric + self.spread],
            "epochs": self.epochs,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "ended": self.why,
        }


class _Lock:
    """Held by one process at a time; the system takes it from one that dies, where Optuna's own would be waited for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        self._file = open(self._path, "w")  # noqa: SIM115  (released by `release`)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True, eq=False)
class Study:
    """The trials of one search."""

    optuna: Any
    study: Any

    @classmethod
    def open(cls, folder: Path, seed: int, rank: int = 0) -> Study:
        """The study in a folder, made where there is none.

        Raises:
            MissingExtraError: Optuna is not installed.
        """
        try:
            optuna = importlib.import_module("optuna")
            journal = importlib.import_module("optuna.storages.journal")
        except ModuleNotFoundError:
            raise MissingExtraError("optuna", "tune", "a search of settings") from None
        optuna.logging.set_verbosity(logging.ERROR)
        backend = journal.JournalFileBackend(str(folder / _LOG), lock_obj=_Lock(folder / _LOCK))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental in Optuna
            study = optuna.create_study(
                storage=optuna.storages.JournalStorage(backend),
                study_name="tune",
                direction="maximize",
                load_if_exists=True,
                sampler=optuna.samplers.TPESampler(n_startup_trials=_STARTUP, seed=seed + rank, constant_liar=True),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP // 2),
            )
        return cls(optuna, study)

    def first(self, config: Config, space: Space) -> None:
        """Has the values of a resolved config tried first, as far as they are within the space."""
        values = {}
        for name, found in space.items():
            section, _, key = name.partition(".")
            value = getattr(getattr(config, section), key)
            inside = value is not None and found.low <= value <= found.high if isinstance(found, Range) else value in found
            if inside:
                values[name] = value
        if values and not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(values)

    def recover(self, ledger: Ledger, tuning: str) -> None:
        """Gives up trials whose process is gone, so that nobody waits for them; their settings may be tried again."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == self.optuna.trial.TrialState.RUNNING:
                self.study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)
                ledger.fail(run_id(tuning, trial.number), "its process ended")

    def attempts(self) -> list[Attempt]:
        """Those that ended by themselves, by number."""
        return [_attempt(trial) for trial in self.study.get_trials(deepcopy=False) if "ended" in trial.user_attrs]

    def running(self) -> int:
        """How many trials are under way."""
        state = self.optuna.trial.TrialState.RUNNING
        return sum(trial.state == state for trial in self.study.get_trials(deepcopy=False))

    def importances(self) -> dict[str, float]:
        """Shares of the settings in what made the metric differ (PED-ANOVA, Watanabe et al. 2023), largest first."""
        complete = self.optuna.trial.TrialState.COMPLETE
        if len(self.study.get_trials(deepcopy=False, states=(complete,))) < 2 * _STARTUP:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self.optuna.importance.get_param_importances(self.study)
        return {name: round(float(share), 4) for name, share in found.items()}


def run_id(tuning: str, number: int) -> str:
    """The name of a trial in the ledger."""
    return f"{tuning}-{number:04d}"


def work(
    config: Config,
    space: Space,
    folder: Path,
    tuning: str,
    ledger: Path,
    rank: int,
    threads: int,
    until: float,
    share: int | None,
    parent: int,
) -> None:
    """A process that tries one setting after the other, until the moment `until` or for `share` trials."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _Worker(config, space, folder, tuning, Ledger(ledger), rank, threads, until).run(share)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(3)


class _Worker:
    def __init__(
        self,
        config: Config,
        space: Space,
        folder: Path,
        tuning: str,
        ledger: Ledger,
        rank: int,
        threads: int,
        until: float,
    ) -> None:
        torch.set_num_threads(threads)
        if config.train.threads:
            config = applied(config, {"train.threads": threads})
        dataset = Dataset.load(folder / _DATA)
        self.config, self.space, self.folder, self.tuning, self.ledger, self.until = (
            config,
            space,
            folder,
            tuning,
            ledger,
            until,
        )
        self.material = Material.of(config, dataset, split(dataset, config.split))
        self.study = Study.open(folder, config.train.seed, rank)
        self.state = self.study.optuna.trial.TrialState

    def run(self, share: int | None) -> None:
        """Tries until the time or the share is used up, or nothing new is drawn."""
        done, repeats, failed = 0, 0, 0
        while time.time() < self.until and (share is None or done < share) and repeats < _REPEATS and failed < 3:
            shortest = min((one.seconds for one in self.study.attempts() if one.epochs is not None), default=0.0)
            if time.time() + shortest / 2 > self.until:
                return
            trial = self.study.study.ask()
            values = {name: self._suggested(trial, name, found) for name, found in self.space.items()}
            if any(values == one.values for one in self.study.attempts()):
                repeats += 1
                self.study.study.tell(trial, state=self.state.FAIL)
                continue
            done, repeats = done + 1, 0
            failed = 0 if self._try(trial, values) else failed + 1

    def _suggested(self, trial: Any, name: str, found: Any) -> Any:
        if not isinstance(found, Range):
            return trial.suggest_categorical(name, found)
        if is_whole(self.config, name):
            return trial.suggest_int(name, round(found.low), round(found.high), log=found.log)
        return float(f"{trial.suggest_float(name, found.low, found.high, log=found.log):.4g}")

    def _try(self, trial: Any, values: Mapping[str, Any]) -> bool:
        """Whether the trial came to a metric."""
        folder, name, began = self.folder / f"trial-{trial.number:04d}", run_id(self.tuning, trial.number), time.time()
        with holding(folder):
            attempt, why = None, "finished"
            run = Run(name, folder, self.config.model_name, "", began, tuning=self.tuning)
            self.ledger.begin(run)
            try:
                attempt = Trial.begin(self.config, self.material, values)
                (folder / _CONFIG).write_text(attempt.config.to_toml(), encoding="utf-8")
                why = self._follow(trial, attempt, folder)
            except TastemakerError as error:
                why = str(error)
            found = attempt is not None and math.isfinite(attempt.metric)
            facts = {"values": dict(values), "why": why, "seconds": round(time.time() - began, 3)}
            if found and attempt is not None:
                facts |= {"metric": attempt.metric, "spread": attempt.spread, "epochs": attempt.epochs}
                facts |= {"best_epoch": attempt.best_epoch}
                judge = self.material.judge
                validation = {judge.metric: judge.sign * attempt.metric}
                epochs = attempt.best_epoch if attempt.epochs else None
                self.ledger.finish(name, validation=validation, test={}, epochs=epochs, train_seconds=attempt.seconds)
            else:
                self.ledger.fail(name, why)
        trial.set_user_attr("ended", facts)
        if found and attempt is not None and attempt.finished:
            self.study.study.tell(trial, attempt.metric)
        else:
            self.study.study.tell(trial, state=self.state.PRUNED if found else self.state.FAIL)
        return found

    def _follow(self, trial: Any, attempt: Trial, folder: Path) -> str:
        """Trains on while it is worth it; says why it ended."""
        writer, judge = JsonLines(folder / _RECORDS), self.material.judge
        for record in attempt.go():
            if record.complete:
                metric = {} if record.metric is None else {judge.metric: judge.sign * record.metric}
                writer.record(record.epoch, {"loss": record.loss, "seconds": round(record.seconds, 3), **metric})
                if record.metric is not None:
                    trial.report(record.metric, record.epoch)
                    early = record.epoch < max(2, record.epochs // 5)  # when little can be told yet
                    if not early and record.epoch < record.epochs and trial.should_prune():
                        return f"behind the others after {record.epoch} epochs"
            if time.time() > self.until:
                return "the time was over"
        return "finished"


def _attempt(trial: Any) -> Attempt:
    facts = trial.user_attrs["ended"]
    return Attempt(
        trial.number,
        facts["values"],
        facts.get("metric", -math.inf),
        facts.get("spread", 0.0),
        facts.get("epochs"),
        facts.get("best_epoch"),
        facts["seconds"],
        facts["why"],
    )
