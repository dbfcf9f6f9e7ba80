"""Lineage: where a version comes from, read from its manifest and from the report of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tastemaker.errors import ArtifactError
from tastemaker.recommend import artifact
from tastemaker.serve import course
from tastemaker.serve.registry import Registry
from tastemaker.serve.times import to_text
from tastemaker.store.base import ModelVersion, Store
from tastemaker.wire.lineage import Curve, JobRecords, Lineage, VersionDetail


def detail(registry: Registry, name: str, version: int) -> VersionDetail:
    """All that is known of a version. Raises RequestError (404) where there is none."""
    found, current = registry.find(name, version), registry.current()
    lineage, problem = None, None
    try:
        lineage = _lineage(found)
    except ArtifactError as error:
        removed = found.facts.get("pruned")
        problem = "its files were removed when newer versions came into use" if removed else str(error)
    return VersionDetail(
        name=found.name,
        version=found.version,
        state=found.state,
        created=to_text(found.created),
        facts=dict(found.facts),
        in_use=current is not None and (current.name, current.version) == (name, version),
        lineage=lineage,
        problem=problem,
        curve=_curve(course.place(found.path)),
    )


def records(store: Store, job_id: str) -> JobRecords | None:
    """The course of a job's training so far, or of the version that came of it; None: no such job."""
    job = store.job(job_id)
    if job is None:
        return None
    running = Path(str(job.detail.get("folder", ""))) / job_id
    name, number = job.detail.get("name"), job.detail.get("version")
    made = next((one for one in store.models(name) if one.version == number), None) if number and name else None
    curve = _curve(running if made is None else course.place(made.path))
    return JobRecords(job_id=job_id, state=job.state, metric=curve.metric, epochs=curve.epochs, steps=curve.steps)


def _curve(folder: Path) -> Curve:
    metric, epochs, steps = course.read(folder)
    return Curve(metric=metric, epochs=epochs, steps=steps)


def _lineage(version: ModelVersion) -> Lineage:
    folder = Path(version.path)
    manifest = artifact.read_manifest(folder)
    told = course.report(folder) or {}
    data, config = told.get("data", {}), dict(manifest.config or {})
    run = config.get("run") or {}
    return Lineage(
        data=data.get("fingerprint"),
        interactions=data.get("interactions"),
        users=manifest.num_users - 2,
        items=manifest.num_items - 2,
        config=_shown(config),
        seed=manifest.seed,
        tastemaker=manifest.tastemaker,
        torch=manifest.torch,
        python=told.get("versions", {}).get("python"),
        machine=told.get("machine"),
        train_seconds=told.get("train_seconds", version.facts.get("train_seconds")),
        epochs=told.get("epochs", version.facts.get("epochs")),
        parent=_parent(run.get("start_from")),
        run=told.get("run", version.facts.get("run")),
        job=version.facts.get("job"),
        manifest=str(artifact.read_facts(folder, artifact.FORMAT).get("sha256", "")),
        size=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    )


def _parent(path: str | None) -> str | None:
    """Name and version of the artifact that a version began with: the last two folders of its path."""
    return None if path is None else "/".join(Path(path).parts[-2:])


def _shown(config: dict[str, Any]) -> dict[str, Any]:
    """The settings by section, without what is not set."""
    return {
        section: {key: value for key, value in values.items() if value not in (None, {}, [])}
        for section, values in config.items()
        if isinstance(values, dict)
    }
