"""Runs: trainings that were judged, their reports, and how they compare."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from tastemaker.wire.bodies import Body, ModelName, Reply
from tastemaker.wire.control import Paged

RunId = Annotated[str, Meta(min_length=1, max_length=200)]

Status = Literal["finished", "failed", "running", "unfinished", "removed"]
"""unfinished: its process is gone; removed: its folder is"""


class RunsQuery(Paged):
    """Runs, newest first."""

    model: Annotated[str, Meta(max_length=200)] | None = None
    status: Status | None = None
    tuning: Annotated[str, Meta(max_length=200)] | None = None
    """the search that they are trials of"""


class RunRow(Reply):
    """A run of the ledger, or of a version whose run is not in it."""

    run_id: str
    model: str
    status: Status
    started: float
    """epoch seconds"""
    metrics: dict[str, float]
    """on the test side"""
    epochs: int | None
    train_seconds: float | None
    error: str
    tuning: str
    versions: list[ModelName]
    """versions of the service that came of it"""
    in_use: bool
    """one of these answers now"""
    told: Literal["report", "manifest", "nothing"]
    """what is known of it: a report, the metrics of a manifest, or no more than this row"""


class RunsReply(Reply):
    """A page of runs."""

    runs: list[RunRow]
    next_cursor: str | None


class Figure(Reply):
    """A metric of the model or of a baseline; differences are its value minus that of the reference."""

    metric: str
    name: str
    """of a run's report: the model, or a baseline; of a comparison: the run"""
    role: Literal["model", "baseline"]
    value: float
    low: float | None
    """bootstrap interval over users"""
    high: float | None
    difference: float | None
    """null: of the reference itself, or not tested"""
    difference_low: float | None
    """of the mean paired difference, by Student's t"""
    difference_high: float | None
    p: float | None
    """of the paired test, corrected by Holm over those set against the reference under this metric"""
    verdict: Literal["better", "worse", "same"] | None
    """than the reference, at .05; same: the test cannot tell them apart; null: not tested"""
    best: bool = False
    """significantly better than every other one"""


class Segment(Reply):
    """Users or targets of one kind."""

    name: str
    """users/new, items/cold…"""
    of: Literal["users", "targets"]
    """what `count` counts"""
    count: int
    few: bool
    """fewer than 100: its figures are uncertain"""
    figures: list[Figure]


class RunReport(RunRow):
    """All that a run found."""

    protocol: list[str]
    """how it was judged, in sentences"""
    data: str | None
    """fingerprint of the dataset"""
    users_asked: int | None
    """that the averages are over"""
    confidence: float | None
    """of intervals"""
    test: str | None
    """of differences: t (paired, over users) or delong (over rows)"""
    figures: list[Figure]
    segments: list[Segment]
    beyond: dict[str, dict[str, float | None]]
    """name -> what its lists do beside being right: coverage, novelty…"""
    figures_of: dict[str, str]
    """version (sasrec/3) -> the name whose figures are its own: a baseline of a run may have become a version too"""
    baselines: dict[str, dict[str, Any]]
    """the settings of each, chosen on validation"""
    settings: dict[str, Any]
    chosen_by: str | None
    """the validation metric that chose epoch and settings"""
    validation: dict[str, float]
    counts: dict[str, int]
    notes: list[str]
    peak_memory_mb: float | None


class RunsBody(Body):
    """Runs to set side by side; the first is the reference."""

    run_ids: Annotated[list[RunId], Meta(min_length=2, max_length=6)]


class RunsCompared(Reply):
    """Runs side by side, if they can be."""

    comparable: bool
    reasons: list[str]
    """why they cannot be compared; then there are no figures"""
    reference: str
    judged: str
    """on how many users or rows"""
    confidence: float | None
    test: str | None
    figures: list[Figure]
    beyond: dict[str, dict[str, float | None]]
    settings: dict[str, dict[str, Any]]
    """setting -> run -> value; only what differs"""
    models: dict[str, str]
    """run -> model"""
