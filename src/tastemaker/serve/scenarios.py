"""Scenarios in force, held in memory: a request finds its rules without a question to the store.

```
store ── each second, one number; all rules where it has changed ──▶ Scenarios ──▶ rules of the name, or of the version a list began with
```
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import msgspec

from tastemaker.errors import StoreError
from tastemaker.log import logger
from tastemaker.recommend.held import Held
from tastemaker.serve.rules import InForce
from tastemaker.store.base import ScenarioVersion, Store
from tastemaker.wire.scenarios import Rules

_SECONDS = 1.0
_EARLIER = 256
"""Versions that are no longer in force, held for lists that began with them."""


class Scenarios:
    """What is in force; safe to use from several threads. A store that is away leaves what was in force last."""

    def __init__(self, store: Store) -> None:
        """Reads the store."""
        self._store, self._turn = store, threading.Lock()
        self._in_force: Mapping[str, InForce] = {}
        self._revision = -1
        self._earlier: Held[InForce] = Held(_EARLIER)
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.refresh()

    @property
    def any(self) -> bool:
        """Whether any scenario is in force."""
        return bool(self._in_force)

    def get(self, name: str) -> InForce | None:
        """The version of a name that is in force."""
        return self._in_force.get(name)

    def version(self, name: str, version: int) -> InForce | None:
        """One version of a name, in force or not; None where it is not known. Raises StoreError where the store would have to be asked and is away."""
        current = self._in_force.get(name)
        if current is not None and current.version == version:
            return current
        key = f"{name}/{version}"
        found = self._earlier.get(key)
        if found is None:
            kept = self._store.scenario_version(name, version)
            found = None if kept is None else _read(kept)
            if found is not None:
                self._earlier.put(key, found)
        return found

    def refresh(self) -> bool:
        """Takes over what is in force now; whether anything had changed. Raises StoreError where the store is away."""
        with self._turn:
            found = self._store.scenarios_in_force(self._revision)
            if found is None:
                return False
            kept, revision = found
            read = {name: _read(one) for name, one in kept.items()}
            self._in_force, self._revision = {name: one for name, one in read.items() if one is not None}, revision
            return True

    def start(self) -> None:
        """Follows the changes of other processes from now on."""
        self._thread = threading.Thread(target=self._follow, name="scenarios", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops following."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _follow(self) -> None:
        away = False
        while not self._end.wait(_SECONDS):
            try:
                self.refresh()
                away = False
            except StoreError as error:
                if not away:
                    logger.warning("scenarios stay as they were: %s", type(error).__name__)
                away = True
            except Exception:  # what is in force stays so; the next round tries again
                logger.exception("scenarios were not read")


def _read(kept: ScenarioVersion) -> InForce | None:
    """A version as kept; None where another version of the program wrote what this one does not know."""
    try:
        return InForce(kept.name, kept.version, msgspec.convert(kept.rules, Rules))
    except msgspec.ValidationError as error:
        logger.error("scenario %s version %d cannot be read: %s", kept.name, kept.version, error)
        return None
