"""A server in a process of its own: started, asked how it is, ended, killed; its CPU time and memory as the system counts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
_TICK = os.sysconf("SC_CLK_TCK")


class Process:
    """A server that prints JSON with its `url` when it is ready."""

    def __init__(self, command: Sequence[str], log: Path, *, wait_seconds: float = 300.0, **environment: str) -> None:
        """Starts it and waits until it is ready.

        Args:
            command: what comes after `python`.
            log: takes standard error.
            wait_seconds: patience.
            environment: more of it.
        """
        self.log, self.command = log, [sys.executable, *command]
        started = time.perf_counter()
        path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
        with log.open("ab") as errors:
            self.child = subprocess.Popen(
                self.command,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path, **environment},
            )
        assert self.child.stdout is not None
        said = ""
        for line in self.child.stdout:
            said += line.decode()
            try:
                self.url = str(json.loads(said)["url"])
                break
            except ValueError:
                continue
        else:
            self.child.wait()
            raise SystemExit(f"the server ended with {self.child.returncode}: {log.read_text()[-2000:]}")
        while not self._get("/readyz") and time.perf_counter() - started < wait_seconds:
            time.sleep(0.02)
        self.ready_seconds = time.perf_counter() - started

    def _get(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    def metrics(self, name: str) -> dict[str, float]:
        """The values of a metric with one label, by the label's value."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found = [line.removeprefix(name + "{").partition("} ") for line in lines if line.startswith(name + "{")]
        return {label.partition("=")[2].strip('"'): float(value) for label, _, value in found}

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all its threads, children that ended included."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICK

    @property
    def memory_mb(self) -> float:
        """Resident now."""
        return self._status("VmRSS")

    @property
    def peak_mb(self) -> float:
        """Resident at most."""
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
        return 0.0

    def kill(self) -> None:
        """kill -9."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        if self.child.stdout is not None:
            self.child.stdout.close()

    def stop(self) -> int:
        """SIGTERM, and what it ended with."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.child.stdout is not None:
            self.child.stdout.close()
        return int(self.child.returncode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def service(store: str, log: Path, *more: str, artifact: Path | None = None, **environment: str) -> Process:
    """`tastemaker serve` as users start it."""
    source = [] if artifact is None else [str(artifact)]
    command = ["-m", "tastemaker", "serve", *source, "--store", store, "--port", "0", "--json", *more]
    return Process(command, log, **environment)
