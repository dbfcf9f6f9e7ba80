"""Fixtures all tests share."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

# Learning tests on tiny worlds run an order of magnitude faster on one thread, in processes that tests start too.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

hypothesis.settings.register_profile("tastemaker", deadline=None)  # a busy machine is not a failure
hypothesis.settings.load_profile("tastemaker")

BENCH_DATA = Path(os.environ.get("TASTEMAKER_BENCH_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The folder of benchmark data sets; tests that ask for it are skipped where a clone has none."""
    if not BENCH_DATA.is_dir():
        pytest.skip(f"no benchmark data at {BENCH_DATA}; set TASTEMAKER_BENCH_DATA")
    return BENCH_DATA


class Cluster:
    """A throw-away PostgreSQL in a temporary folder, reached by a socket; text sorts by the rules of English."""

    def __init__(self, binaries: Path) -> None:
        self.binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="tm-pg-"))  # short: the path of a socket has at most 107 bytes
        self._prefix: list[str] = []
        if os.geteuid() == 0:  # initdb refuses root, who therefore lends it to another user
            names = {entry.pw_name for entry in pwd.getpwall()}
            user = "postgres" if "postgres" in names else "nobody"
            self._prefix = ["setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"]
            shutil.chown(self.folder, user)
        help_text = subprocess.run([str(binaries / "initdb"), "--help"], capture_output=True, text=True, check=True).stdout
        icu = ["--locale-provider=icu", "--icu-locale=en-US"] if "--icu-locale" in help_text else []
        self.run("initdb", "-U", "tester", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C.UTF-8", *icu)

    def run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, str(self.binaries / program), "-D", str(self.folder / "data"), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            log = self.folder / "log"
            pytest.fail(f"{program} failed: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off -c shared_buffers=32MB"
        self.run("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "-w", "-m", mode, "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://tester@/{database}?host={self.folder}"


def start_cluster() -> Cluster:
    """A running cluster; where there are no binaries the tests are skipped, and fail under CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path))
    if not found:
        message = "no PostgreSQL server binaries: apt install postgresql (any version; the server need not run)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    cluster = Cluster(found[-1].parent)
    cluster.start()
    return cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL for the session; gone afterwards."""
    cluster = start_cluster()
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A PostgreSQL that a test may stop and start."""
    cluster = start_cluster()
    try:
        yield cluster
    finally:
        cluster.run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(cluster.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(cluster: Cluster) -> str:
    """The URL of an empty database."""
    return cluster.url()


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch on two threads, here and in processes that the test starts."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)
