"""Runner: has queued trainings done beside serving.

Each job is done by a process of its own, in its own process group, with low priority and a core left to serving. Of several services that
share a folder of models one runs jobs; when it dies, another takes over. Whoever takes over queues again what was running.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from pydantic import Field

from tastemaker.errors import TastemakerError
from tastemaker.log import logger
from tastemaker.serve.jobs import ACTIVE, KIND, KINDS, Schedule, ask, is_cancelled, now, schedules
from tastemaker.serve.registry import Registry
from tastemaker.settings import Settings
from tastemaker.store.base import Job

_FOLDER = ".jobs"
_HOUR = 3_600_000_000


class JobSettings(Settings):
    """How training runs beside serving."""

    poll_seconds: float = Field(0.5, gt=0, description="how often jobs, cancellations and schedules are looked for")
    timeout_hours: float = Field(24.0, gt=0, description="a training that takes longer is ended and fails")
    nice: int = Field(10, ge=0, le=19, description="priority of the training process: higher gives way more")
    threads: int | None = Field(None, ge=1, description="cores it may use; default: all but one, at least one")
    kills: int = Field(10, ge=0, description="times that a job whose process was killed is taken up again")


class Runner:
    """A thread that has queued trainings done, one after the other."""

    def __init__(self, registry: Registry, settings: JobSettings | None = None, *, url: str | None = None) -> None:
        """Runs the jobs of the registry's store; `url` opens it in another process, password and all (`store.url` has none)."""
        self.registry, self.store, self.url = registry, registry.store, url or registry.store.url
        self.settings = settings or JobSettings.parse({})
        self.folder = registry.folder / _FOLDER
        self._over, self._wake = False, threading.Event()
        self._lock: IO[str] | None = None
        self._thread = threading.Thread(target=self._run, name="tastemaker-jobs", daemon=True)

    def start(self) -> Runner:
        """Takes up what was left and begins to look for jobs."""
        self._thread.start()
        return self

    def wake(self) -> None:
        """Looks now instead of at the next tick."""
        self._wake.set()

    def stop(self) -> None:
        """Ends the thread; a training under way is ended and goes back into the queue, to go on from its checkpoint."""
        self._over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _run(self) -> None:
        while not self._over:
            try:
                if self._elected():
                    self._ask_scheduled()
                    if (job := next(filter(None, map(self.store.claim_job, KINDS)), None)) is not None:
                        self._do(job)
                        continue
            except Exception as error:  # a database that is away for a while must not end the runner
                logger.warning("jobs cannot be looked for: %s", error)
            self._wake.wait(self.settings.poll_seconds)
            self._wake.clear()

    def _elected(self) -> bool:
        """Whether this process runs the jobs of the folder; on becoming so, jobs of a process that died are queued again."""
        if self._lock is not None:
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        jobs = [job for kind in KINDS for job in self.store.jobs(kind, 1000)]
        for job in jobs:
            if job.state == "running" and job.detail.get("folder") == str(self.folder):
                self._again(job)
        going = {job.job_id for job in jobs if job.state in ACTIVE}
        for left in self.folder.iterdir():
            if left.is_dir() and left.name not in going:
                shutil.rmtree(left)
        return True

    def _ask_scheduled(self) -> None:
        for name, when in schedules(self.store).items():
            try:
                if self._due(name, when):
                    ask(self.registry, name, promote=when.promote)
            except TastemakerError as error:
                logger.warning("the scheduled training of %s cannot be asked for: %s", name, error)

    def _due(self, name: str, when: Schedule) -> bool:
        last = next((job for job in self.store.jobs(KIND, 1000) if job.detail.get("name") == name), None)
        sequence = self.store.last_sequence()
        if last is not None and last.state in ACTIVE:
            return False
        hours = when.every_hours is not None and (last is None or now() - last.created >= when.every_hours * _HOUR)
        before = 0 if last is None else last.detail.get("sequence", 0)
        return (hours and sequence > 0) or (when.after_events is not None and sequence - before >= when.after_events)

    def _do(self, job: Job) -> None:
        if is_cancelled(self.store, job.job_id):
            self._end(job, "cancelled")
            return
        job = self._put(job, phase="starting", folder=str(self.folder))
        process, told = self._launch(job)
        began, state = time.monotonic(), ""
        while process.poll() is None and not state:
            time.sleep(min(0.1, self.settings.poll_seconds))
            job = self._put_told(job, told)
            if self._over:
                state = "queued"
            elif is_cancelled(self.store, job.job_id):
                state = "cancelled"
            elif time.monotonic() - began > self.settings.timeout_hours * 3600:
                state = "failed"
                told["error"] = f"took longer than {self.settings.timeout_hours:g} hours"
        _kill(process)
        told["reader"].join()
        job = self._put_told(job, told, last=True)
        if state == "queued":
            self._put(replace(job, state="queued"), phase="queued")
        elif state:
            self._end(job, state, **({"error": told["error"]} if state == "failed" else {}))
        elif "result" in told:
            self._end(job, "done", **told["result"])
        elif process.returncode < 0:
            self._again(
                job, f"its process was ended by signal {-process.returncode} (9 is what the system sends when memory is short)"
            )
        else:
            self._end(job, "failed", error=told.get("error") or _tail(self.folder / f"{job.job_id}.err"))

    def _launch(self, job: Job) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
        threads = self.settings.threads or max(1, len(os.sched_getaffinity(0)) - 1)
        task = {
            "job_id": job.job_id,
            "kind": job.kind,
            "detail": dict(job.detail),
            "store": self.url,
            "models": str(self.registry.folder),
            "folder": str(self.folder / job.job_id),
            "limits": self.registry.limits.model_dump(),
            "nice": self.settings.nice,
            "threads": threads,
        }
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        with (self.folder / f"{job.job_id}.err").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tastemaker.serve.training"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
        told: dict[str, Any] = {}
        told["reader"] = threading.Thread(target=_listen, args=(process, told), daemon=True)
        told["reader"].start()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once: the exit code says so
            process.stdin.write(json.dumps(task).encode() + b"\n")
            process.stdin.flush()
        return process, told

    def _put_told(self, job: Job, told: dict[str, Any], *, last: bool = False) -> Job:
        """Writes what the process said, about once a second and at once when a phase begins."""
        said = dict(told.get("said", {}))
        fresh = said and {key: job.detail.get(key) for key in said if key != "progress"} != {
            key: value for key, value in said.items() if key != "progress"
        }
        if not fresh or not (last or said.get("phase") != job.detail.get("phase") or now() - job.updated > 1_000_000):
            return job
        progress = max(job.progress, float(said.pop("progress", job.progress)))
        return self._put(replace(job, progress=progress), **said)

    def _again(self, job: Job, error: str = "the service was ended while it ran") -> None:
        """Queues a job whose process died, unless that happened too often."""
        kills = job.detail.get("kills", 0) + 1
        if kills > self.settings.kills:
            self._end(job, "failed", error=f"{error}, {kills} times", kills=kills)
        else:
            logger.warning("job %s is queued again: %s", job.job_id, error)
            self._put(replace(job, state="queued"), phase="queued", kills=kills)

    def _end(self, job: Job, state: Any, **detail: Any) -> None:
        shutil.rmtree(self.folder / job.job_id, ignore_errors=True)
        (self.folder / f"{job.job_id}.err").unlink(missing_ok=True)
        self._put(replace(job, state=state, progress=1.0 if state == "done" else job.progress), phase=state, **detail)
        logger.info("job %s is %s", job.job_id, state)

    def _put(self, job: Job, **detail: Any) -> Job:
        job = replace(job, updated=now(), detail={**job.detail, **detail})
        self.store.put_job(job)
        return job


def _listen(process: subprocess.Popen[bytes], told: dict[str, Any]) -> None:
    """Keeps the last of what a training process says, until it ends."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            with contextlib.suppress(ValueError):  # half a line of one that was killed
                said = json.loads(line)
                if isinstance(said, dict):
                    told.update(said if said.keys() & {"result", "error"} else {"said": said})


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1][:1000] if lines else "its process ended without a word"
