"""Recorder: keeps what was shown, in groups and behind the answers' back."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from tastemaker.errors import TastemakerError
from tastemaker.log import logger
from tastemaker.store.base import Shown, Store


class Recorder:
    """A bounded queue and a thread that empties it into the store; what finds the queue full pushes the oldest out, and is counted."""

    def __init__(
        self, store: Store, *, queue: int, group: int, gather_seconds: float = 0.05, pause_seconds: float = 1.0
    ) -> None:
        """A group is written when it is full, or `gather_seconds` after the last write; after a failure, when the pause is over."""
        self._store, self._group = store, group
        self._gather, self._pause = gather_seconds, pause_seconds
        self._hurry = 0
        self._waiting: deque[Shown] = deque()
        self._capacity = queue
        self._changed = threading.Condition()
        self._writing = False
        self._closed = self._failed = False
        self.dropped = 0
        """answers that were not kept because the store could not follow"""
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, answers: Sequence[Shown]) -> None:
        """Queues answers; returns at once."""
        if not answers:
            return
        with self._changed:
            before = len(self._waiting)
            self._waiting.extend(answers)
            while len(self._waiting) > self._capacity:
                self._waiting.popleft()
                self.dropped += 1
            if not before or len(self._waiting) >= self._group:
                self._changed.notify_all()

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Waits until everything queued is kept; False when that took too long."""
        with self._changed:
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout_seconds)
            finally:
                self._hurry -= 1

    def forget(self, user_id: str) -> None:
        """Drops what waits to be kept about a user, and waits for a write under way."""
        with self._changed:
            self._waiting = deque(shown for shown in self._waiting if shown.user_id != user_id)
            self._changed.wait_for(lambda: not self._writing, 5.0)
            self._waiting = deque(shown for shown in self._waiting if shown.user_id != user_id)

    def close(self) -> None:
        """Keeps what waits, unless the last write failed, and stops."""
        if not self._failed:
            self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout=5)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                # one write a moment costs less than one an answer, and nobody waits for it
                self._changed.wait_for(lambda: self._closed or self._hurry or len(self._waiting) >= self._group, self._gather)
                if self._closed:
                    return
                group = [self._waiting.popleft() for _ in range(min(self._group, len(self._waiting)))]
                self._writing = True
            failed = False
            try:
                self._store.add_answers(group)
            except TastemakerError as error:
                logger.warning("%d answers not kept yet: %s", len(group), type(error).__name__)
                failed = True
            except Exception:
                logger.exception("%d answers not kept yet", len(group))
                failed = True
            with self._changed:
                self._writing, self._failed = False, failed
                if failed:
                    self._waiting.extendleft(reversed(group))
                    while len(self._waiting) > self._capacity:
                        self._waiting.popleft()
                        self.dropped += 1
                self._changed.notify_all()
                if failed:
                    self._changed.wait_for(lambda: self._closed, self._pause)
