"""Where a version of a model comes from, how its training went, and what runs the service."""

from __future__ import annotations

from typing import Any

from tastemaker.wire.bodies import Reply
from tastemaker.wire.control import ModelReply


class TrainingRecord(Reply):
    """How a training stood at the end of an epoch, or within one."""

    epoch: float
    """counted from 1; within the second epoch 1.5 is its middle"""
    loss: float
    """mean over the targets of this epoch so far"""
    seconds: float
    """of training, validation not counted"""
    targets_per_second: float
    metric: float | None = None
    """the validation metric, where the epoch was validated"""


class Curve(Reply):
    """The course of a training; thinned to a few hundred rows."""

    metric: str | None
    """name of the validation metric; null: none is known"""
    epochs: list[TrainingRecord]
    """a row an epoch"""
    steps: list[TrainingRecord]
    """rows within epochs, about one each half second; none where they were not kept"""


class JobRecords(Curve):
    """The course of a job's training so far."""

    job_id: str
    state: str


class Lineage(Reply):
    """Where a version comes from; null: not known, as of versions that were added by hand."""

    data: str | None
    """fingerprint of the dataset it was trained on"""
    interactions: int | None
    users: int
    items: int
    config: dict[str, Any]
    """the resolved settings, by section"""
    seed: int | None
    tastemaker: str
    """version of the package that made it"""
    torch: str
    python: str | None
    machine: dict[str, Any] | None
    train_seconds: float | None
    epochs: int | None
    """of the best validation"""
    parent: str | None
    """the artifact whose weights it began with"""
    run: str | None
    job: str | None
    manifest: str
    """sha256 that the manifest, and by it every file, is held to"""
    size: int | None
    """bytes on the disk; null: its files are not here"""


class VersionDetail(ModelReply):
    """All that is known of a version."""

    in_use: bool
    lineage: Lineage | None
    """null: its files were removed or cannot be read"""
    problem: str | None
    """why they cannot"""
    curve: Curve


class System(Reply):
    """What runs the service."""

    versions: dict[str, str]
    """tastemaker, python, torch, sqlalchemy…"""
    platform: str
    processors: int
    threads: int
    """of the model"""
    started: str
    memory: int
    """bytes of the process that are in memory"""
    store: str
    """kind of database"""
    models: str | None
    """folder of versions; null: one fixed model is served"""
    models_size: int | None
    """bytes in it"""
    queues: dict[str, int]
    """calls that run or wait"""
    listeners: int
    """pages that listen to what changes"""
    settings: dict[str, dict[str, Any]]
    """in force, by section"""
