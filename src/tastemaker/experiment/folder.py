"""A run's folder: where it is, what it was started with, its log, and going on with what a kill has left."""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from tastemaker.errors import ConfigError, TastemakerError
from tastemaker.experiment.ledger import Ledger, Run, holding, runs_folder
from tastemaker.experiment.result import REPORT
from tastemaker.experiment.sections import Sections
from tastemaker.log import logger

START, CONFIG, LOG = "run.json", "config.toml", "log.txt"
CHECKPOINT = "checkpoint.safetensors"


class Place:
    """A run in its folder."""

    def __init__(self, folder: Path, run: Run, *, resuming: bool) -> None:
        self.folder, self.run, self.resuming = folder, run, resuming
        self.figures: dict[str, Any] = {}
        """what the ledger is told when the run ends"""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.resuming and (self.folder / REPORT).exists()

    @contextmanager
    def working(self, config: Sections, ledger: Ledger) -> Iterator[None]:
        """The run's row, log, threads and hold on the folder while the block runs; the ledger is told how it ended."""
        run, folder = self.run, self.folder
        with holding(folder), _logging_to(folder / LOG), _threads(_begin(folder, run, config)):
            ledger.begin(run)
            logger.info("run %s %s in %s", run.id, "goes on" if self.resuming else "starts", folder)
            try:
                yield
            except TastemakerError as error:
                ledger.fail(run.id, str(error))
                raise
            except Exception as error:
                ledger.fail(run.id, f"{type(error).__name__}: {error}")
                raise
            ledger.finish(run.id, **self.figures)


def placed(config: Sections, out: Path | None, resume: bool, ledger: Ledger) -> Place:
    """The folder of a run: new, or of the unfinished one that it goes on with.

    Raises:
        ConfigError: `out` holds something else, or a run of another config.
    """
    found = None
    if resume and out is not None and (out / START).exists():
        found = _started(out)
        if found.config_hash != config.hash:
            raise ConfigError(
                f"the run in {str(out)!r} was started with other settings",
                expected=f"those of {out / CONFIG}",
                hint="undo the change, or give another --out",
            )
    elif resume and out is None:
        found = ledger.unfinished(config.hash)
    if found:
        return Place(found.folder, found, resuming=True)
    if resume:
        logger.info("nothing to go on with: a fresh run")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        hint = "--resume goes on with it, or give another --out" if (out / START).exists() else "give another --out"
        raise ConfigError(f"{str(out)!r} is not empty", expected="a new folder for the run", hint=hint)
    now = time.time()
    name = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{config.model_name}-{config.hash[:6]}"
    folder, count = out or runs_folder() / name, 1
    while out is None and folder.exists():  # two runs of one config within a second
        count += 1
        folder = runs_folder() / f"{name}-{count}"
    run = Run(name if count == 1 else f"{name}-{count}", folder, config.model_name, config.hash, now)
    return Place(folder, run, resuming=False)


def _begin(folder: Path, run: Run, config: Sections) -> int:
    """Writes down what the run was started with, unless it is there; returns how many threads that was."""
    now = config.train.threads or torch.get_num_threads()
    if (folder / START).exists():
        return int(json.loads((folder / START).read_text(encoding="utf-8")).get("threads", now))
    (folder / CONFIG).write_text(config.to_toml(), encoding="utf-8")
    start = {"id": run.id, "model": run.model, "config_hash": run.config_hash, "started": run.started, "threads": now}
    write_whole(folder / START, json.dumps(start, indent=2) + "\n")
    return now


def _started(folder: Path) -> Run:
    start = json.loads((folder / START).read_text(encoding="utf-8"))
    return Run(start["id"], folder, start["model"], start["config_hash"], start["started"])


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """The last bits of a sum depend on how many threads share it, so a run goes on with as many as it began with."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Keeps what is logged while the block runs, whatever else listens."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


def state_of(checkpoint: Path) -> dict[str, Any]:
    """How far training came, as the checkpoint has it: right even when the last run had nothing left to train."""
    with safe_open(str(checkpoint), framework="pt") as file:
        state: dict[str, Any] = json.loads(file.metadata()["state"])
    return state


def write_whole(path: Path, text: str) -> None:
    """Half a file is never seen, whatever ends the process."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


def peak_memory_mb() -> float:
    """Of this process so far, resident: what it held at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
