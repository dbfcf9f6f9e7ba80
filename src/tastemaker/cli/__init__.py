"""The command line: verbs that parse, call one function and print. Heavy imports wait until a verb runs."""

import contextlib
import ctypes
import os


def main() -> None:
    """Entry point of the `tastemaker` command."""
    from tastemaker.cli.app import app

    # Threads that wait should sleep: spinning ones starve each other as soon as anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _keep_freed_pages()
    app(prog_name="tastemaker")


def _keep_freed_pages() -> None:
    """Tells glibc's allocator to reuse what a step freed instead of giving it back: fresh pages can cost more than half of training.

    Only for the command, whose process is ours; a program that imports the library keeps its own settings.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3
    with contextlib.suppress(OSError, AttributeError):  # another C library has its own ways
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(m_trim_threshold, 2**31 - 1)
        mallopt(m_mmap_threshold, 2**31 - 1)  # which no longer adapts once the other one is set
