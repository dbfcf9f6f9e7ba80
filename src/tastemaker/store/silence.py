"""Silence: a server that takes what is sent and never answers holds a thread for ever, unless somebody cuts the line."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tastemaker.log import logger

_ROUND_SECONDS = 0.25


class Silence:
    """Cuts connections whose answer is overdue. A thread of its own looks after them while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[object, tuple[float, int]] = {}
        self._some = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def cut(self, descriptor: int, seconds: float) -> Iterator[None]:
        """Within the block a socket is shut down after `seconds`: whoever reads from it finds its end."""
        token = object()
        with self._lock:
            self._due[token] = (time.monotonic() + seconds, descriptor)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._watch, name="tastemaker-silence", daemon=True)
                self._thread.start()
        self._some.set()
        try:
            yield
        finally:
            with self._lock:
                self._due.pop(token, None)

    def close(self) -> None:
        """Ends the thread."""
        self._closed = True
        self._some.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._closed:
            self._some.wait()
            time.sleep(_ROUND_SECONDS)
            with self._lock:  # a socket in here is not closed yet, so its number is not another's
                now = time.monotonic()
                for token in [token for token, (due, _) in self._due.items() if due <= now]:
                    _shut(self._due.pop(token)[1])
                if not self._due and not self._closed:
                    self._some.clear()


def _shut(descriptor: int) -> None:
    logger.warning("a database that did not answer was cut off")
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as line:
        line.shutdown(socket.SHUT_RDWR)
