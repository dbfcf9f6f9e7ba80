"""Tune: searches settings for a model under a time budget, by validation alone; test is left to the run that uses what was found.

```
<time>-tune-<model>-<hash>/
  config.toml          what was asked for, resolved
  tuning.json          name, what is searched
  data/                the prepared dataset, which all processes read
  study.log            the trials as Optuna keeps them; --resume goes on with it
  trial-0007/          each trial: config.toml, records.jsonl
  result.json          the trials, best first, and which settings mattered
  best.toml            the best settings, as `tastemaker train` takes them
```
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tastemaker.errors import ConfigError, TrainingError
from tastemaker.experiment.config import Config
from tastemaker.experiment.ledger import Ledger, holding, runs_folder
from tastemaker.experiment.result import plain
from tastemaker.experiment.run import load_parts
from tastemaker.experiment.space import Space, applied, default_space, told
from tastemaker.experiment.study import Attempt, Study, work
from tastemaker.experiment.trial import Material, resolved
from tastemaker.log import logger
from tastemaker.settings import to_toml

BEST, RESULT = "best.toml", "result.json"
_FACTS, _CONFIG, _DATA = "tuning.json", "config.toml", "data"
_GRACE = 15.0
"""seconds after the end that a trial may take to notice"""
_DEATHS = 3
"""processes that may die (of memory, say) before the search is given up"""


@dataclass(frozen=True)
class Progress:
    """How a search goes."""

    attempts: list[Attempt]
    """those that ended, by number"""
    running: int
    best: Attempt | None
    seconds: float
    share: float
    """of the time, or of the trials where there is no limit of time"""


@dataclass(frozen=True)
class Tuned:
    """What a search found."""

    name: str
    folder: Path
    metric: str
    sign: int
    """-1 where a lower metric is better, else 1"""
    space: Space
    attempts: list[Attempt]
    """best first"""
    importances: dict[str, float]
    """which settings the metric depended on, in shares of 1; empty with too few trials"""
    interrupted: bool

    @property
    def best(self) -> Attempt:
        """The attempt that did best on validation."""
        return self.attempts[0]

    @property
    def config(self) -> Path:
        """The best settings as a config."""
        return self.folder / BEST

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "tuning": self.name,
            "folder": str(self.folder),
            "config": str(self.config),
            "metric": self.metric,
            "best": self.best.to_dict(self.sign),
            "trials": [attempt.to_dict(self.sign) for attempt in self.attempts],
            "importances": self.importances,
            "interrupted": self.interrupted,
        }


def tune(
    config: Config,
    out: Path | str | None = None,
    *,
    minutes: float | None = None,
    trials: int | None = None,
    jobs: int = 1,
    resume: bool = False,
    on_space: Callable[[list[str]], None] = lambda lines: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    ledger: Ledger | None = None,
) -> Tuned:
    """Searches the settings that `[tune]` names, or the default ones of the model.

    The first trial has the settings of the config as it stands. Ctrl-C ends the search; what was found until then is returned.

    Args:
        config: the config to improve.
        out: the folder to work in, new or empty; default: a fresh one in `runs_folder()`.
        minutes: how long to search.
        trials: how many trials to make; with `resume`, in all.
        jobs: processes that try side by side, each on its share of the threads.
        resume: go on with the search in `out`, or with the newest of this config.
        on_space: told what is searched.
        on_progress: told a few times a second how it goes.
        ledger: where the trials are entered; default: the one in `runs_folder()`.

    Raises:
        ConfigError: neither minutes nor trials, nothing to search, or `out` holds something else.
        DataError: there is no validation side.
        MissingExtraError: Optuna is not installed.
        TrainingError: no trial came to an end.
    """
    if minutes is None and trials is None:
        raise ConfigError("a search without an end", expected="minutes or trials", hint="--minutes 10")
    if jobs < 1:
        raise ConfigError(f"jobs = {jobs}", expected="1 or more")
    folder, name = _place(config, Path(out) if out else None, resume)
    ledger = ledger or Ledger()
    with holding(folder):
        dataset, split, _ = load_parts(config)
        material = Material.of(config, dataset, split)
        start = resolved(config, material)
        space = config.tune or default_space(start, has_times=split.train.has_times)
        if not space:
            raise ConfigError(f"no setting of {config.model_name} to search", expected="a [tune] section that names some")
        on_space(told(space))
        _write(folder, config, name, space)
        dataset.save(folder / _DATA)
        study = Study.open(folder, config.train.seed)
        study.recover(ledger, name)
        study.first(start, space)
        search = _Search(config, space, folder, name, ledger.path.parent, study, minutes, trials, jobs, on_progress)
        interrupted = search.run()
        study.recover(ledger, name)
        attempts = sorted(study.attempts(), key=lambda one: (-one.metric, one.number))
        if not attempts or attempts[0].epochs is None:
            why = attempts[0].why if attempts else "it was ended before one trial was"
            raise TrainingError(f"no trial came to an end: {why}", hint="give it more time, or look at the settings searched")
        tuned = Tuned(
            name, folder, material.judge.metric, material.judge.sign, space, attempts, study.importances(), interrupted
        )
        found = resolved(applied(config, tuned.best.values), material).to_toml()
        said = f"# {material.judge.metric} {material.judge.sign * tuned.best.metric:.4f} on validation, the best of {len(attempts)} trials of {name}\n"
        (folder / BEST).write_text(said + found, encoding="utf-8")
        (folder / RESULT).write_text(json.dumps(plain(tuned.to_dict()), indent=2) + "\n", encoding="utf-8")
    return tuned


@dataclass(eq=False)
class _Search:
    """The processes that try, and whoever waits for them."""

    config: Config
    space: Space
    folder: Path
    name: str
    ledger: Path
    study: Study
    minutes: float | None
    trials: int | None
    jobs: int
    on_progress: Callable[[Progress], None]

    def run(self) -> bool:
        """Returns when time is over, the trials are made or Ctrl-C was pressed: whether it was that."""
        self._began = time.time()
        self._until = self._began + 60 * self.minutes if self.minutes else float("inf")
        self._before = len(self.study.attempts())
        workers = [self._start(rank) for rank in range(self.jobs)]
        deaths = 0
        try:
            while any(worker.is_alive() for worker in workers):
                self.on_progress(self._progress())
                time.sleep(0.2)
                if time.time() > self._until + _GRACE:
                    break
                for rank, worker in enumerate(workers):
                    if worker.exitcode and deaths < _DEATHS:
                        deaths += 1
                        logger.warning("a process died with %d; its trial is lost", worker.exitcode)
                        workers[rank] = self._start(rank)
            self.on_progress(self._progress())
            return False
        except KeyboardInterrupt:
            return True
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join()

    def _start(self, rank: int) -> BaseProcess:
        threads = max(1, (self.config.train.threads or torch.get_num_threads()) // self.jobs)
        left = None if self.trials is None else max(0, self.trials - len(self.study.attempts()))
        share = None if left is None else left // self.jobs + (rank < left % self.jobs)
        process = multiprocessing.get_context("spawn").Process(
            target=work,
            args=(self.config, self.space, self.folder, self.name, self.ledger, rank, threads, self._until, share, os.getpid()),
            daemon=True,
        )
        with _deaf():
            process.start()
        return process

    def _progress(self) -> Progress:
        attempts, seconds = self.study.attempts(), time.time() - self._began
        done = [one for one in attempts if one.epochs is not None]
        best = max(done, key=lambda one: (one.metric, -one.number), default=None)
        share = seconds / (60 * self.minutes) if self.minutes else 0.0
        if self.trials:
            share = max(share, (len(attempts) - self._before) / max(1, self.trials - self._before))
        return Progress(attempts, self.study.running(), best, seconds, min(1.0, share))


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started meanwhile leave Ctrl-C to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _place(config: Config, out: Path | None, resume: bool) -> tuple[Path, str]:
    """The folder and the name of the search."""
    if resume:
        places = [out] if out else sorted(runs_folder().glob("*-tune-*"), reverse=True)
        for folder in places:
            facts = _facts(folder)
            if facts and facts["config_hash"] == config.hash:
                if config.tune and facts["space"] != told(config.tune):
                    raise ConfigError(
                        f"the search in {str(folder)!r} was over other settings", expected="; ".join(facts["space"])
                    )
                return folder, facts["name"]
        where = f"in {str(out)!r}" if out else f"of this config in {runs_folder()}"
        raise ConfigError(f"no search {where} to go on with", hint="leave --resume out")
    now = datetime.fromtimestamp(time.time(), UTC)
    name = f"{now:%Y%m%d-%H%M%S}-tune-{config.model_name}-{config.hash[:6]}"
    folder = out or runs_folder() / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        hint = "--resume goes on with it, or give another --out" if _facts(folder) else "give another --out"
        raise ConfigError(f"{str(folder)!r} is not empty", expected="a new folder for the search", hint=hint)
    return folder, folder.name


def _write(folder: Path, config: Config, name: str, space: Space) -> None:
    text = config.to_toml()
    if config.tune:
        given = {key: list(one) if isinstance(one, tuple) else one.model_dump() for key, one in space.items()}
        text += "\n" + to_toml({"tune": given})
    (folder / _CONFIG).write_text(text, encoding="utf-8")
    facts = {"name": name, "config_hash": config.hash, "space": told(space)}
    (folder / _FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _facts(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return found
