"""A PostgreSQL of one's own: a throw-away cluster in a temporary folder, reached by a socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path))
    if not found:
        message = "no PostgreSQL server binaries: apt install postgresql (any version; the server need not run)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found[-1].parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty database that sorts text by the rules of English; all is gone afterwards.

    initdb refuses root, who therefore lends it to another user.
    """
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="tm-pg-"))  # short: the path of a socket has at most 107 bytes
    prefix: list[str] = []
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = "postgres" if "postgres" in names else "nobody"
        prefix = ["setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"]
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        done = subprocess.run([*prefix, *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            log = folder / "log"
            pytest.fail(f"{command[0]} failed: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")

    help_text = subprocess.run([str(binaries / "initdb"), "--help"], capture_output=True, text=True, check=True).stdout
    icu = ["--locale-provider=icu", "--icu-locale=en-US"] if "--icu-locale" in help_text else []
    collation = ["--locale=C.UTF-8", *icu]
    data = str(folder / "data")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c shared_buffers=32MB"
    try:
        run(str(binaries / "initdb"), "-D", data, "-U", "tester", "--auth=trust", "--encoding=UTF8", "--no-sync", *collation)
        run(str(binaries / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
        try:
            yield f"postgresql://tester@/postgres?host={folder}"
        finally:
            run(str(binaries / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
