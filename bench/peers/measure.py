"""What the peers' scripts share: arguments, the environment of the process, the events, the clock, NDCG and the one line printed.

Each peer runs under its own interpreter, so this file needs no more than numpy and pyarrow.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before glibc and OpenMP read them, hence the re-execution in `parse`.
MALLOC = {
    "tuned": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1"},  # freed pages stay: fresh ones are dear
    "default": {},
}
K = 10


def parse(
    description: str, *, extend: Callable[[argparse.ArgumentParser], None] | None = None, **defaults: Any
) -> argparse.Namespace:
    """Read the arguments, then start this very process anew with the threads, cores and allocator they ask for.

    `extend` adds arguments of one peer, `defaults` replace ours.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--events", type=Path, required=True, help="file that prepare.py wrote")
    parser.add_argument("--max-length", type=int, default=200)
    parser.add_argument("--batch", type=int, default=128, help="rows a step: users; of RecBole prefixes")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, help="stop after so many steps of the first epoch and project the whole")
    parser.add_argument("--warmup-steps", type=int, default=3, help="steps of the first epoch that do not count")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--malloc", choices=MALLOC, default="tuned")
    parser.add_argument("--d", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--eval-every", type=int, default=0, help="NDCG@10 after every so many epochs; 0: never")
    parser.add_argument("--eval-on", choices=("validation", "test"), default="test")
    if extend:
        extend(parser)
    parser.set_defaults(**defaults)
    arguments = parser.parse_args()
    if not arguments.events.is_file():
        parser.error(f"no file {arguments.events}. hint: write it with bench/peers/prepare.py")
    if arguments.epochs < 1 or arguments.threads < 1:
        parser.error("--epochs and --threads start at 1")
    if arguments.steps is not None and arguments.steps <= arguments.warmup_steps:
        parser.error(f"--steps {arguments.steps} leaves nothing to measure after {arguments.warmup_steps} warm-up steps")
    enter_environment(arguments.threads, MALLOC[arguments.malloc])
    return arguments


def enter_environment(threads: int, malloc: dict[str, str]) -> None:
    """Pin this process to `threads` cores and start it anew where the allocator or the libraries' threads differ from what is asked."""
    wanted = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)} | malloc
    unwanted = [name for name in MALLOC["tuned"] if name not in wanted and name in os.environ]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if unwanted or any(os.environ.get(name) != value for name, value in wanted.items()):
        environment = {name: value for name, value in os.environ.items() if name not in unwanted} | wanted
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


class Events:
    """Whole histories, users and items as dense codes from 0, ordered by user and then by time.

    The train part is all but the last two events of each user, validation the last but one, test the last.
    """

    def __init__(self, users: Any, items: Any) -> None:
        import numpy as np

        self.user_ids, self.users = np.unique(users, return_inverse=True)
        self.item_ids, self.items = np.unique(items, return_inverse=True)
        counts = np.bincount(self.users)
        if counts.min() < 3:
            raise SystemExit(f"user {self.user_ids[counts.argmin()]} has {counts.min()} events; leave-one-out needs 3")
        self.ends = np.cumsum(counts)
        self.starts = self.ends - counts
        self.positions = np.arange(len(self.users)) - np.repeat(self.starts, counts)

    @property
    def num_users(self) -> int:
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        return len(self.item_ids)

    def before(self, side: str) -> Any:
        """Mask of the events known before `side` ("validation", which is the train part, or "test")."""
        import numpy as np

        held_out = {"validation": 2, "test": 1}[side]
        return self.positions < np.repeat(self.ends - self.starts - held_out, self.ends - self.starts)

    def truth(self, side: str) -> Any:
        """The one item each user is asked for on `side`: int array (num_users,)."""
        return self.items[self.ends - {"validation": 2, "test": 1}[side]]

    def histories(self, side: str) -> list[Any]:
        """The items each user had before `side`, oldest first."""
        held_out = {"validation": 2, "test": 1}[side]
        return [self.items[start : end - held_out] for start, end in zip(self.starts, self.ends, strict=True)]

    def targets(self, max_length: int) -> int:
        """Positions with a next item to predict in an epoch over the last `max_length` + 1 train events of each user."""
        import numpy as np

        return int(np.minimum(self.ends - self.starts - 2 - 1, max_length).clip(0).sum())


def load(path: Path) -> Events:
    """Read the file that prepare.py wrote and check that it is sorted."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    users, times = table["user_id"].to_numpy(), table["timestamp"].to_numpy()
    if not ((np.diff(users) > 0) | ((np.diff(users) == 0) & (np.diff(times) > 0))).all():
        raise SystemExit(f"{path} is not sorted by user_id and timestamp. hint: write it with bench/peers/prepare.py")
    return Events(users, table["item_id"].to_numpy())


def cpu_seconds() -> float:
    """User and system time of this process, all its threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def ndcg(lists: Any, truth: Any) -> float:
    """Mean over users of 1 / log2(rank + 1) where the one true item is among the first ten of `lists`, else 0.

    `lists` holds item codes (users, at least 10), best first, seen items already left out; -1 fills lists that are shorter.
    """
    import numpy as np

    hits = lists[:, :K] == truth[:, None]
    return float((hits / np.log2(np.arange(2, K + 2))).sum(axis=1).mean())


@dataclass
class Meter:
    """CPU and wall seconds of training alone, by epoch and by step.

    The clock runs between `start_epoch` and `end_epoch`. The first epoch's figure is projected from its steps after the
    warm-up; where later epochs exist, their mean is the figure.
    """

    steps_per_epoch: int
    warmup_steps: int = 3
    max_steps: int | None = None
    step: int = 0
    epochs: list[tuple[float, float]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)
    _start: tuple[float, float] = (0.0, 0.0)
    _warm: tuple[float, float] | None = None
    _partial: tuple[float, float] | None = None
    _measured_steps: int = 0

    @staticmethod
    def _now() -> tuple[float, float]:
        return cpu_seconds(), time.perf_counter()

    def start_epoch(self) -> None:
        self.step = 0
        self._start = self._now()

    def end_step(self) -> None:
        self.step += 1
        if not self.epochs:
            if self.step == self.warmup_steps:
                self._warm = self._now()
            elif self._warm is not None:
                self._partial = _minus(self._now(), self._warm)
                self._measured_steps = self.step - self.warmup_steps

    @property
    def full(self) -> bool:
        """Whether the steps asked for are done."""
        return self.max_steps is not None and self.step >= self.max_steps

    def end_epoch(self) -> None:
        self.epochs.append(_minus(self._now(), self._start))

    def record(self, value: float, side: str) -> None:
        """Note the NDCG@10 reached after the epochs so far and what they cost."""
        cpu, wall = (round(sum(column), 2) for column in zip(*self.epochs, strict=True))
        point = {"epoch": len(self.epochs), "train_cpu_s": cpu, "train_wall_s": wall, f"{side}_ndcg@10": round(value, 5)}
        self.curve.append(point)
        print(json.dumps(point), file=sys.stderr, flush=True)

    def result(self) -> dict[str, Any]:
        if len(self.epochs) > 1:
            later = self.epochs[1:]
            cpu, wall = (sum(column) / len(later) for column in zip(*later, strict=True))
            how = f"epochs 2-{len(self.epochs)}"
        elif self._partial is not None:
            factor = self.steps_per_epoch / self._measured_steps
            cpu, wall = (part * factor for part in self._partial)
            last = self.warmup_steps + self._measured_steps
            how = f"steps {self.warmup_steps + 1}-{last} of {self.steps_per_epoch}, projected"
        else:
            raise SystemExit(f"{self.step} steps are too few to measure. hint: lower --warmup-steps or raise --epochs")
        return {
            "cpu_s_per_epoch": round(cpu, 2),
            "wall_s_per_epoch": round(wall, 2),
            "measured": how,
            "steps": self.steps_per_epoch,
        }


def _minus(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return a[0] - b[0], a[1] - b[1]


def watched(batches: Iterable[Any], meter: Meter) -> Iterator[Any]:
    """The batches, each counted as a step once the consumer asks for the next."""
    for batch in batches:
        yield batch
        meter.end_step()
        if meter.full:
            return


def lightning_callback(base: type, meter: Meter, after_epoch: Callable[[int], None] | None = None) -> Any:
    """A callback for either package of Lightning that drives the meter; `after_epoch` gets the number of epochs done."""

    # Closures, not attributes: RecTools copies its trainer deeply, callbacks included.
    class Timing(base):  # type: ignore[misc]
        def on_train_epoch_start(self, *_: Any) -> None:
            meter.start_epoch()

        def on_train_batch_end(self, *_: Any) -> None:
            meter.end_step()

        def on_train_epoch_end(self, *_: Any) -> None:
            meter.end_epoch()
            if after_epoch:
                after_epoch(len(meter.epochs))

    return Timing()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what the libraries print to standard error; the result alone goes to standard output."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def report(peer: str, package: str, arguments: argparse.Namespace, events: Events, meter: Meter, **more: Any) -> None:
    """Print the one line."""
    settings = {
        name: getattr(arguments, name) for name in ("max_length", "batch", "d", "blocks", "heads", "dropout", "lr", "seed")
    }
    line = {
        "peer": peer,
        "version": version(package),
        "torch": version("torch"),
        "events": arguments.events.stem,
        "settings": settings | more.pop("settings", {}),
        "threads": arguments.threads,
        "malloc": arguments.malloc,
        **meter.result(),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "users": events.num_users,
        "items": events.num_items,
        "targets": events.targets(arguments.max_length),
        "positions": events.num_users * arguments.max_length,
    }
    if meter.curve:
        line["curve"] = meter.curve
    print(json.dumps(line | more), flush=True)
