"""Ledger: one SQLite file that knows every run - what it was, how it ended, how well it did. Safe for parallel processes."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tastemaker.errors import UserError

_TABLE = """create table if not exists runs (
    id text primary key, folder text not null, model text not null, config_hash text not null, started real not null,
    finished real, outcome text not null, validation text not null, test text not null, epochs integer, train_seconds real,
    error text not null, tuning text not null default '')"""
_LOCK = "lock"


def runs_folder() -> Path:
    """Where runs and the ledger live: `$TASTEMAKER_RUNS`, else `runs` in the current folder."""
    return Path(os.environ.get("TASTEMAKER_RUNS") or "runs")


@dataclass(frozen=True)
class Run:
    """A row of the ledger."""

    id: str
    folder: Path
    model: str
    config_hash: str
    started: float
    """seconds since 1970 UTC"""
    finished: float | None = None
    outcome: str = ""
    """"" until the run ends, then "finished" or "failed" """
    validation: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    epochs: int | None = None
    train_seconds: float | None = None
    error: str = ""
    tuning: str = ""
    """the search that the run is a trial of; "" for none"""

    @property
    def status(self) -> str:
        """One of finished, failed, running, unfinished (its process is gone: `--resume` continues it) and removed."""
        if not self.folder.is_dir():
            return "removed"
        return self.outcome or ("running" if _is_locked(self.folder) else "unfinished")


class Ledger:
    """The runs of one folder. Every call is a transaction of its own; writers wait for each other."""

    def __init__(self, folder: Path | str | None = None) -> None:
        self.path = Path(folder or runs_folder()) / "ledger.db"

    def begin(self, run: Run) -> None:
        """Enters a run, or marks it as going again when it is known."""
        self._write(
            """insert into runs
            values (:id, :folder, :model, :config_hash, :started, null, '', '{}', '{}', null, null, '', :tuning)
            on conflict (id) do update set folder = :folder, outcome = '', finished = null, error = ''""",
            {
                "id": run.id,
                "folder": str(run.folder.resolve()),
                "model": run.model,
                "config_hash": run.config_hash,
                "started": run.started,
                "tuning": run.tuning,
            },
        )

    def finish(
        self,
        run_id: str,
        *,
        validation: Mapping[str, float],
        test: Mapping[str, float],
        epochs: int | None,
        train_seconds: float,
    ) -> None:
        """Marks a run as finished, with its figures."""
        self._write(
            """update runs set outcome = 'finished', finished = :now, validation = :validation, test = :test,
            epochs = :epochs, train_seconds = :seconds where id = :id""",
            {
                "id": run_id,
                "now": time.time(),
                "validation": json.dumps(dict(validation)),
                "test": json.dumps(dict(test)),
                "epochs": epochs,
                "seconds": train_seconds,
            },
        )

    def fail(self, run_id: str, error: str) -> None:
        """Marks a run as failed, with the reason."""
        self._write(
            "update runs set outcome = 'failed', finished = :now, error = :error where id = :id",
            {"id": run_id, "now": time.time(), "error": error},
        )

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        if not self.path.exists():
            return []
        with self._connect() as connection:
            rows = connection.execute("select * from runs order by started desc, id desc").fetchall()
        return [_run(row) for row in rows]

    def page(
        self, limit: int, *, after: tuple[float, str] | None = None, model: str | None = None, tuning: str | None = None
    ) -> list[Run]:
        """At most `limit` runs, newest first, those that started before the one (its start, its id) `after`; the file is only read."""
        wanted = [("(started, id) < (?, ?)", after), ("model = ?", model and (model,)), ("tuning = ?", tuning and (tuning,))]
        given = [(words, values) for words, values in wanted if values]
        where = " and ".join(words for words, _ in given) or "true"
        values = [value for _, ones in given for value in ones]
        return self._read(f"select * from runs where {where} order by started desc, id desc limit ?", (*values, limit))

    def get(self, run_id: str) -> Run | None:
        """The run of an id; None: there is none. The file is only read."""
        return next(iter(self._read("select * from runs where id = ?", (run_id,))), None)

    def find(self, name: str | Path) -> Run:
        """The run of an id, the unique beginning of one, or a run's folder.

        Raises:
            UserError: no run of that name, or several.
        """
        runs = self.runs()
        here = Path(name).resolve()
        found = [run for run in runs if run.id == str(name) or run.folder == here]
        found = found or [run for run in runs if run.id.startswith(str(name))]
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(f"{len(found)} runs begin with {str(name)!r}", expected="one run", hint="give more of the name")
        raise UserError(f"no run {str(name)!r}", expected="a run's name or folder", hint="`tastemaker runs` lists them")

    def unfinished(self, config_hash: str) -> Run | None:
        """The newest run of that config whose process ended before the run did."""
        mine = (run for run in self.runs() if run.config_hash == config_hash and not run.tuning)
        return next((run for run in mine if run.status == "unfinished"), None)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
            connection.row_factory = sqlite3.Row
            try:
                connection.execute("begin immediate")
                connection.execute(_TABLE)
                if not any(row["name"] == "tuning" for row in connection.execute("pragma table_info(runs)")):
                    connection.execute("alter table runs add column tuning text not null default ''")  # of an earlier version
                yield connection
                connection.execute("commit")
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self.path}: {error}", expected="a ledger of runs", hint="move the file away; runs stay as folders"
            ) from None

    def _read(self, query: str, values: tuple[Any, ...]) -> list[Run]:
        if not self.path.exists():
            return []
        try:
            connection = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
            connection.row_factory = sqlite3.Row
            try:
                return [_run(row) for row in connection.execute(query, values)]
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path}: {error}", expected="a ledger of runs") from None

    def _write(self, statement: str, values: Mapping[str, Any]) -> None:
        with self._connect() as connection:
            connection.execute(statement, dict(values))


def _run(row: sqlite3.Row) -> Run:
    values = dict(row)
    values["folder"] = Path(values["folder"])
    values["validation"], values["test"] = json.loads(values["validation"]), json.loads(values["test"])
    return Run(**values)


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Holds a run's folder while the block runs; the system lets go of it when the process dies, however it dies.

    Raises:
        UserError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / _LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"the run in {str(folder)!r} is going on in another process", hint="wait for it, or stop it"
            ) from None
        yield


def _is_locked(folder: Path) -> bool:
    try:
        with open(folder / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
