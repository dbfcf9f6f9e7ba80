"""Registry: the versions of trained models, which one is in use, and how another takes over.

```
FOLDER/NAME/VERSION/        an artifact, whole or not there at all; never changed afterwards
store.models                name, version, path, state, facts: a row for each
```

A version comes in as a candidate, is judged by the gate when it is promoted, and is then `promoted` or `refused`; the one it takes over
from is `retired`, and `rollback` brings that one back. The row in the store is the truth: each process that watches it loads the version
promoted there, and goes on with what it has when that one cannot be loaded.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tastemaker.errors import ArtifactError, RequestError
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve import course
from tastemaker.serve.settings import GateSettings
from tastemaker.serve.watch import OnVersion, Watch
from tastemaker.store.base import ModelVersion, Store

if TYPE_CHECKING:
    from tastemaker.serve.gate import GateReport

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")


class Registry:
    """The versions known to a store; usable from several threads and processes at once."""

    def __init__(self, store: Store, folder: Path | str | None = None, *, limits: GateSettings | None = None) -> None:
        """Takes versions from and into `folder`; None takes `models` beside the SQLite file, else in the working folder."""
        self.store, self.limits = store, limits or GateSettings.parse({})
        self.folder = (Path(folder) if folder is not None else beside(store.url)).absolute()

    def add(self, source: Path | str, name: str, facts: Mapping[str, Any] | None = None) -> ModelVersion:
        """Copies an artifact into the registry as a new candidate, after it was opened and checked there.

        Args:
            source: an artifact's folder.
            name: of the line of versions: a letter, then letters, digits and `_.-`, at most 64.
            facts: kept with the version; where they name a `job` that has brought a version already, that one is returned.

        Raises:
            ArtifactError: the artifact is damaged or knows users who were erased since.
            RequestError: not a name.
        """
        from tastemaker.experiment.snapshot import erased_among

        place, source = self.folder / checked(name), Path(source)
        with _holding(place / ".lock"):
            known = self.store.models(name)
            job = (facts or {}).get("job")
            if job and (same := next((one for one in known if one.facts.get("job") == job), None)):
                return same
            for left in place.glob(".*.part"):  # of a process that was killed
                shutil.rmtree(left)
            version = 1 + max((one.version for one in known), default=0)
            part, whole = place / f".{version}.part", place / str(version)
            if not source.is_dir():
                raise ArtifactError(f"no folder {str(source)!r}", expected="an artifact's folder")
            shutil.copytree(source, part)
            try:
                recommender = artifact.load(part)
                if gone := erased_among(self.store, map(str, recommender.users.ids.to_pylist())):
                    raise ArtifactError(
                        f"a model that knows {gone} erased users", expected="none of them in it", hint="train it again"
                    )
                manifest = artifact.read_manifest(part)
                if whole.exists():  # copied by a process that was killed before it entered the version
                    shutil.rmtree(whole)
                _settle(part)
                course.keep(source, whole)
                part.rename(whole)
                _sync(place)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            told = {"model": manifest.model.name, "metrics": manifest.metrics, "users": len(recommender.users)}
            return self.store.add_model(name, str(whole), {**told, "items": len(recommender.items), **(facts or {})})

    def find(self, name: str, version: int) -> ModelVersion:
        """The version of that name and number. Raises RequestError (404) where there is none."""
        known = self.store.models(checked(name))
        for one in known:
            if one.version == version:
                return one
        hint = (
            f"versions: {', '.join(str(one.version) for one in known[:8])}" if known else "`tastemaker versions list` lists all"
        )
        raise RequestError(f"no version {version} of {name!r}", code="unknown_model", status=404, hint=hint)

    def current(self) -> ModelVersion | None:
        """The version in use."""
        return self.store.promoted()

    def load(self, version: ModelVersion) -> Recommender:
        """Opens a version; all its files are checked first.

        Raises:
            ArtifactError: it is damaged, another version's, or not on this machine.
        """
        return artifact.load(version.path)

    def judge(self, name: str, version: int) -> GateReport:
        """Asks the gate about a version and keeps the report in its facts; one that is refused is marked so, unless it is in use.

        Raises:
            RequestError: no such version.
            ArtifactError: it cannot be loaded; it is marked as refused.
        """
        from tastemaker.serve import gate  # what judges is slow to import, and who only serves does without
        from tastemaker.serve.fresh import Learned
        from tastemaker.serve.gate import GateReport

        asked, serving = self.find(name, version), self.current()
        try:
            candidate = self.load(asked)
        except ArtifactError as error:
            self._mark(asked, serving, GateReport(False, (f"it cannot be loaded: {error}",)))
            raise
        current: Recommender | None = None
        unusable: tuple[str, ...] = ()
        if serving is not None and not _same(serving, asked):
            try:
                current = self.load(serving)
            except ArtifactError as error:
                unusable = (f"the model in use was not compared with, as it cannot be loaded: {error}",)
        report = gate.check(candidate, current, self.store, learned=Learned.of(asked.facts), settings=self.limits)
        report = GateReport(**{**vars(report), "warnings": (*report.warnings, *unusable)})
        self._mark(asked, serving, report)
        return report

    def promote(self, name: str, version: int, *, force: bool = False) -> ModelVersion:
        """Puts a version into use, if it passes the gate; services that watch load it within a second or two.

        `force` skips the gate; the artifact is checked even then.

        Raises:
            RequestError: no such version (404), or the gate refused it (409).
            ArtifactError: it cannot be loaded.
        """
        if force:
            self.load(self.find(name, version))
        else:
            report = self.judge(name, version)
            if not report.passed:
                raise RequestError(
                    f"{name} {version}: {'; '.join(report.reasons)}",
                    code="gate_refused",
                    status=409,
                    expected="a version that passes the gate",
                    hint="the report is in the version's facts; force promotes it all the same",
                )
        asked, serving = self.find(name, version), self.current()
        if serving is not None and _same(serving, asked):
            return serving
        replaced = None if serving is None else {"name": serving.name, "version": serving.version}
        facts = {**asked.facts, "promoted_at": time.time_ns() // 1000, "replaced": replaced, "forced": force}
        promoted = self.store.set_model(name, version, state="promoted", facts=facts)
        self.prune()
        return promoted

    def prune(self) -> list[ModelVersion]:
        """Removes the files of old versions, for they know users who were erased since; which. What is known of them stays.

        Kept are the one in use, the `keep_versions` in use before it, and the newest `keep_versions` of each name.
        """
        known = self.store.models()
        kept: set[tuple[str, int]] = set()
        for name in {one.name for one in known}:
            kept |= {
                (name, number)
                for number in sorted(one.version for one in known if one.name == name)[-self.limits.keep_versions :]
            }
        earlier = self.current()
        for _ in range(self.limits.keep_versions + 1):
            if earlier is None:
                break
            kept.add((earlier.name, earlier.version))
            before = earlier.facts.get("replaced") or {}
            earlier = next(
                (one for one in known if (one.name, one.version) == (before.get("name"), before.get("version"))), None
            )
        gone = [one for one in known if (one.name, one.version) not in kept and not one.facts.get("pruned")]
        for one in gone:
            whole = Path(one.path)
            if whole.parent == self.folder / one.name and whole.is_dir():
                part = whole.with_name(f".{one.version}.part")  # whole or not there; `add` removes what a kill leaves of it
                whole.rename(part)
                shutil.rmtree(part, ignore_errors=True)
                whole.with_name(f"{one.version}.map.npz").unlink(missing_ok=True)
            self.store.set_model(one.name, one.version, facts={**one.facts, "pruned": True})
        return gone

    def rollback(self) -> ModelVersion:
        """Puts the version back that was in use before the present one; asked again, the one before that.

        Raises:
            RequestError: nothing was in use before (409).
            ArtifactError: what was cannot be loaded any more.
        """
        serving = self.current()
        replaced = None if serving is None else serving.facts.get("replaced")
        if serving is None or replaced is None:
            raise RequestError("no version was in use before", code="no_earlier_version", status=409)
        earlier = self.find(replaced["name"], replaced["version"])
        self.load(earlier)
        return self.store.set_model(earlier.name, earlier.version, state="promoted")

    def watch(self, callback: OnVersion, seconds: float = 1.0) -> Watch:
        """Hands over the promoted version, and each one promoted later, here or in another process; see `Watch`."""
        return Watch(self.store, callback, seconds)

    def _mark(self, asked: ModelVersion, serving: ModelVersion | None, report: GateReport) -> None:
        in_use = serving is not None and _same(serving, asked)
        state = None if in_use or asked.state == "retired" else "candidate" if report.passed else "refused"
        self.store.set_model(asked.name, asked.version, state=state, facts={**asked.facts, "gate": report.to_dict()})


def checked(name: str) -> str:
    """The name, if it is one that may name a folder. Raises RequestError else."""
    if not _NAME.fullmatch(name):
        expected = "a letter, then letters, digits and _.- (at most 64)"
        raise RequestError(f"model name {name[:80]!r}", code="bad_name", expected=expected)
    return name


def beside(url: str) -> Path:
    """`models` beside the SQLite file of a store's URL; for other stores in the working folder."""
    scheme, found, path = url.partition("://")
    if found:
        return Path(path.removeprefix("/")).parent / "models" if scheme.startswith("sqlite") else Path("models")
    return Path("models") if url == "memory:" else Path(url).parent / "models"


def _same(one: ModelVersion, other: ModelVersion) -> bool:
    return (one.name, one.version) == (other.name, other.version)


def _settle(folder: Path) -> None:
    """Waits until a folder's files are on the disk."""
    for path in [*folder.iterdir(), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _holding(path: Path) -> Iterator[None]:
    """One process at a time; the system lets go when the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
