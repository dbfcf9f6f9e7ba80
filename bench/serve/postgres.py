"""A throw-away PostgreSQL for measuring: durable (fsync on), in a temporary folder, reached by a socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres() -> Iterator[str | None]:
    """The URL of an empty database; None where the server's programs are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) + [Path(one) for one in [shutil.which("initdb")] if one]
    if not found:
        yield None
        return
    folder, prefix = Path(tempfile.mkdtemp(prefix="tm-pg-")), []
    if os.geteuid() == 0:  # initdb refuses root
        user = next((one for one in ("postgres", "nobody") if one in {entry.pw_name for entry in pwd.getpwall()}), "nobody")
        prefix = ["setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"]
        shutil.chown(folder, user)

    def run(program: str, *more: str) -> None:
        command = [*prefix, str(found[-1].parent / program), "-D", str(folder / "data"), *more]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=300)

    try:
        run("initdb", "-U", "bench", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        run(
            "pg_ctl",
            "-w",
            "-l",
            str(folder / "log"),
            "-o",
            f"-c listen_addresses= -c unix_socket_directories={folder}",
            "start",
        )
        try:
            yield f"postgresql://bench@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
