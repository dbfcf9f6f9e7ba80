"""Watch: follows the version in use, and has each new one taken over once it is loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from tastemaker.log import logger
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender
from tastemaker.store.base import ModelVersion, Store

OnVersion = Callable[[Recommender | None, ModelVersion | None], None]
"""Takes over the recommender of a version: `Service.swap`."""

_RETRY_SECONDS = 30.0


class Watch:
    """A thread that follows the version in use.

    `callback` gets each version loaded and checked, and is expected to warm it up before it lets the old one go; until it returns the old
    one serves. A version that cannot be loaded, or that the callback refuses by an exception, is reported in the log and tried again
    every half minute; where nothing serves yet, the versions promoted before it are tried in turn.
    """

    def __init__(self, store: Store, callback: OnVersion, seconds: float) -> None:
        self.store, self.callback, self.seconds = store, callback, seconds
        self.serving: ModelVersion | None = None
        """what the callback took last"""
        self.problem = ""
        """why the promoted version does not serve; "" while it does"""
        self._failed: tuple[tuple[str, int], float] | None = None
        self._wake, self._over = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="tastemaker-watch", daemon=True)

    def start(self) -> Watch:
        """Looks once at once, so that what can be loaded serves when this returns; then follows."""
        self.look()
        self._thread.start()
        return self

    def wake(self) -> None:
        """Looks now instead of at the next tick."""
        self._wake.set()

    def stop(self) -> None:
        """Ends the thread."""
        self._over = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """One look: hands over what was promoted since the last."""
        promoted = self.store.promoted()
        if promoted is None or (self.serving is not None and _key(promoted) == _key(self.serving)):
            self.problem = ""
            return
        if self._failed and self._failed[0] == _key(promoted) and time.monotonic() < self._failed[1]:
            return
        if self._take(promoted):
            self.problem, self._failed = "", None
            return
        self._failed = (_key(promoted), time.monotonic() + _RETRY_SECONDS)
        if self.serving is None:
            any(self._take(earlier, note=False) for earlier in self._earlier(promoted))

    def _take(self, version: ModelVersion, *, note: bool = True) -> bool:
        try:
            self.callback(artifact.load(version.path), version)
        except Exception as error:  # whatever is wrong with the new one, the old one serves on
            logger.error("model %s %d is not taken into use: %s", version.name, version.version, error)
            if note:
                self.problem = f"{version.name} {version.version}: {error}"
            return False
        self.serving = version
        logger.info("model %s %d is in use", version.name, version.version)
        return True

    def _earlier(self, version: ModelVersion) -> Iterator[ModelVersion]:
        met = {_key(version)}
        while replaced := version.facts.get("replaced"):
            number = replaced["version"]
            found = next((one for one in self.store.models(replaced["name"]) if one.version == number), None)
            if found is None or _key(found) in met:
                return
            version = found
            met.add(_key(version))
            yield version

    def _run(self) -> None:
        while not self._over:
            self._wake.wait(self.seconds)
            self._wake.clear()
            if self._over:
                return
            try:
                self.look()
            except Exception as error:  # a database that is away for a while must not end the watch
                logger.warning("the version in use cannot be looked up: %s", error)


def _key(version: ModelVersion) -> tuple[str, int]:
    return version.name, version.version
