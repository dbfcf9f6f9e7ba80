"""Cartographer: a map of the items for each version of the model, made by a process of its own when somebody first asks for it.

```
vectors of the model, or who met what ──▶ recommend.mapping, at the lowest priority ──▶ places of items ──▶ VERSION.map.npz beside the version
                                                                                            └─ categories, popularity of the moment ─▶ bytes
```
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import RequestError
from tastemaker.log import logger
from tastemaker.serve.browse.chart import Chart
from tastemaker.serve.browse.survey import Survey
from tastemaker.serve.view import View
from tastemaker.wire.browse import MapQuality, MapReply, MapSource

_MOST_SECONDS = 3600
_FRESH_SECONDS = 30.0
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Atlas:
    """Where the items of one version lie; that never changes."""

    base: int
    """of the views whose codes it knows"""
    codes: np.ndarray
    """int64 (points,): the item of each point"""
    layout: np.ndarray
    """float32 (points, 2)"""
    source: MapSource
    quality: MapQuality
    items: int
    """that could have been on it"""


class Cartographer:
    """Maps of the model in use; safe to use from several threads."""

    def __init__(self, survey: Callable[[View], Survey]) -> None:
        """`survey` gives the counts that points are drawn by."""
        self._survey = survey
        self._lock = threading.Lock()
        self._atlas: Atlas | None = None
        self._chart: tuple[Chart, int, float] | None = None
        """with the survey it was drawn by, and when"""
        self._failed: tuple[int, str] | None = None
        """base and why"""
        self._thread: threading.Thread | None = None
        self._making = 0
        """the base that is being mapped"""
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def state(self, view: View) -> MapReply:
        """How far the map is; has it made where there is none."""
        atlas = self._of(view)
        if atlas is not None:
            return MapReply(
                state="ready",
                map=self.chart(view).name,
                points=len(atlas.codes),
                items=atlas.items,
                source=atlas.source,
                quality=atlas.quality,
                model=view.model_name or None,
                version=None if view.version is None else view.version.version,
                detail="",
            )
        failed = self._failed
        why = failed[1] if failed is not None and failed[0] == view.base else ""
        return MapReply(
            state="unavailable" if why or not _mappable(view) else "computing",
            map=None,
            points=0,
            items=max(0, view.known - FIRST),
            source=_source(view),
            quality=None,
            model=view.model_name or None,
            version=None if view.version is None else view.version.version,
            detail=why or ("" if _mappable(view) else _why_not(view)),
        )

    def chart(self, view: View) -> Chart:
        """The map as it is drawn. Raises RequestError (404) where there is none yet."""
        atlas = self._of(view)
        if atlas is None:
            raise RequestError(
                "the map is not there yet", code="no_map", status=404, hint="GET /v1/catalogue/map says how far it is"
            )
        survey = self._survey(view)
        with self._lock:
            drawn = self._chart
            old = drawn is None or (drawn[1] != survey.number and time.monotonic() - drawn[2] > _FRESH_SECONDS)
            if drawn is None or old or drawn[0].base != atlas.base:
                drawn = self._chart = (
                    Chart.of(view, survey, atlas.base, atlas.codes, atlas.layout),
                    survey.number,
                    time.monotonic(),
                )
            return drawn[0]

    def close(self) -> None:
        """Ends what is being made."""
        self._closed = True
        process, thread = self._process, self._thread
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if thread is not None:
            thread.join(timeout=5)

    def _of(self, view: View) -> Atlas | None:
        with self._lock:
            if self._atlas is not None and self._atlas.base == view.base:
                return self._atlas
            busy = self._thread is not None and self._thread.is_alive()
            failed = self._failed is not None and self._failed[0] == view.base
            if not busy and not failed and not self._closed and _mappable(view):
                self._making = view.base
                self._thread = threading.Thread(target=self._try, args=(view,), name="map", daemon=True)
                self._thread.start()
        return None

    def _try(self, view: View) -> None:
        try:
            atlas = _read(view) or self._made(view)
            with self._lock:
                self._atlas = atlas
        except Exception as error:
            if not self._closed:
                logger.exception("no map of %s", view.source)
                self._failed = view.base, f"it could not be made: {type(error).__name__}"

    def _made(self, view: View) -> Atlas:
        """Has the map made and keeps it beside the version."""
        folder = Path(tempfile.mkdtemp(prefix="tastemaker-map-"))
        try:
            codes = _write(view, folder)
            environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tastemaker.recommend.mapping", str(folder)],
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
            if self._process.wait(_MOST_SECONDS):
                raise RuntimeError(f"the mapping process ended with {self._process.returncode}")
            if codes is None:
                codes = np.load(folder / "places.npy").astype(np.int64)
            told = json.loads((folder / "quality.json").read_text())
            held = codes >= FIRST  # what was met may have been no known item
            atlas = Atlas(
                view.base,
                codes[held],
                np.load(folder / "layout.npy")[held],
                _source(view) or "vectors",
                MapQuality(**told),
                view.known - FIRST,
            )
            _keep(view, atlas)
            return atlas
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _write(view: View, folder: Path) -> np.ndarray | None:
    """What the process needs; the codes of its points, None where it says itself."""
    from tastemaker.recommend.mapping.__main__ import MOST

    assert view.scoring is not None and view.recommender is not None
    if view.scoring.vectors is None:
        np.save(folder / "items.npy", view.recommender.histories.items)
        np.save(folder / "offsets.npy", view.recommender.histories.offsets)
        return None
    directions = view.scoring.directions[FIRST : view.known]
    codes = FIRST + np.flatnonzero(directions.any(dim=1).numpy())
    popular = view.recommender.events[codes]
    codes = np.sort(codes[np.argsort(-popular, kind="stable")[:MOST]])
    np.save(folder / "vectors.npy", directions[codes - FIRST].numpy().astype(np.float32))
    return codes


def _source(view: View) -> MapSource | None:
    if view.scoring is None or view.recommender is None:
        return None
    if view.scoring.vectors is not None:
        return "vectors"
    return "co_occurrence" if len(view.recommender.histories.items) else None


def _mappable(view: View) -> bool:
    return _source(view) is not None and view.known > FIRST


def _why_not(view: View) -> str:
    return (
        "there is no model"
        if view.scoring is None
        else "the model has no item vectors, and its artifact does not hold who met what"
    )


def _path(view: View) -> Path | None:
    """Where a map is kept: beside the folder of a registry's version, whose files never change."""
    version = view.version
    if version is None or version.version == 0:
        return None
    return Path(version.path).with_name(f"{version.version}.map.npz")


def _keep(view: View, atlas: Atlas) -> None:
    path = _path(view)
    if path is None:
        return
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            np.savez(
                file,
                format=np.int64(_FORMAT),
                fingerprint=np.array(_fingerprint(view)),
                codes=atlas.codes,
                layout=atlas.layout,
                source=np.array(atlas.source),
                quality=np.array(json.dumps({name: getattr(atlas.quality, name) for name in atlas.quality.__struct_fields__})),
            )
        part.replace(path)
    except OSError as error:  # the next process makes it again
        logger.warning("the map of %s cannot be kept: %s", view.source, error.strerror)


def _read(view: View) -> Atlas | None:
    """The map that is kept beside the version; None where there is none, or none of these items."""
    path = _path(view)
    if path is None or not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            if int(held["format"]) != _FORMAT or str(held["fingerprint"]) != _fingerprint(view):
                return None
            quality = MapQuality(**json.loads(str(held["quality"])))
            codes, layout, source = held["codes"], held["layout"], str(held["source"])
    except (OSError, ValueError, KeyError, TypeError):
        logger.warning("%s is no map; it is made again", path.name)
        return None
    if layout.shape != (len(codes), 2) or (len(codes) and int(codes.max()) >= view.known):
        return None
    return Atlas(view.base, codes, layout, "vectors" if source == "vectors" else "co_occurrence", quality, view.known - FIRST)


def _fingerprint(view: View) -> str:
    assert view.recommender is not None
    return view.recommender.items.fingerprint
