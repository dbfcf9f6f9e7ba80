"""Settings of the service: sections `[serve]` and `[gate]` of a config."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tastemaker.settings import Settings


class ServeSettings(Settings):
    """How requests are gathered, how long each stage may take, what is kept in memory."""

    max_batch: int = Field(64, ge=1, description="requests in one forward pass at most")
    queue: int = Field(512, ge=1, description="requests that may wait; more are refused with a time to come back")
    patience_ms: float = Field(200.0, gt=0, description="while the first in the queue waited longer, nobody else is taken in")
    deadline_ms: float = Field(1000.0, gt=0, description="time of a request that names none")
    store_budget_ms: float = Field(250.0, gt=0, description="time for reading histories; beyond it the list does without")
    store_pause_seconds: float = Field(1.0, ge=0, description="how long a store that failed is left alone")
    retrieval_budget_ms: float = Field(
        200.0,
        gt=0,
        description="of two stages: time for the candidates of a batch; sources that would take longer are left out",
    )
    ranking_budget_ms: float = Field(
        300.0, gt=0, description="of two stages: time for ranking them; lists that would take longer keep the sources' order"
    )
    ranker_precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of two stages: products of the ranker's layers on a CPU; bfloat16 is a third faster where the processor multiplies it, "
        "and puts every hundredth item of a list elsewhere",
    )
    history_length: int = Field(
        200, ge=1, description="newest events read of a user, for models that set no length of their own"
    )
    like_from: float | None = Field(
        None,
        description="onboarding: the least value of an event that is a like, where values are ratings; unset: every event is one",
    )
    pool: int = Field(200, ge=10, le=10_000, description="best items that diversity and rotation choose from, at least")
    refresh_seconds: float = Field(1.0, gt=0, description="how often other processes' changes of the catalogue are looked for")
    popular_days: float = Field(30.0, gt=0, description="window of the popular list and of the fallback")
    trending_days: float = Field(1.0, gt=0, description="window of the trending list, unless asked otherwise")
    popular_refresh_seconds: float = Field(10.0, gt=0, description="age at which event counts are taken anew")
    recorder_queue: int = Field(20_000, ge=1, description="answers that may wait to be kept; the oldest go beyond")
    recorder_group: int = Field(500, ge=1, description="answers kept in one write")
    purchase_kinds: tuple[str, ...] = Field(
        ("purchase", "buy", "order", "transaction", "conversion"),
        description="types of events that are purchases, for what recommendations earn",
    )
    model_days: float = Field(14.0, gt=0, description="age of the model in use at which the dashboard says so")
    compare_versions: int = Field(
        2, ge=1, le=8, description="versions held in memory besides the one in use, while somebody compares their lists"
    )
    compare_idle_seconds: float = Field(600.0, gt=0, description="how long such a version is held after it was asked last")
    masks: int = Field(256, ge=1, description="filter results held")
    pages: int = Field(20_000, ge=1, description="answers held in memory for their next page")
    last_answers: int = Field(20_000, ge=1, description="users whose last list is held, for when the model cannot answer")


class GateSettings(Settings):
    """How strict the gate is."""

    min_users: int = Field(100, ge=2, description="users that must be asked before a model in use is replaced")
    max_users: int = Field(5000, ge=2, description="users asked at most, a seeded sample of those with fresh events")
    window: int = Field(500_000, ge=1, description="newest events that users are drawn from and rivals are counted in")
    min_known_share: float = Field(0.5, ge=0, le=1, description="share of these events whose items the candidate must know")
    max_milliseconds: float = Field(250.0, gt=0, description="median time of one answer")
    keep_versions: int = Field(
        5, ge=1, description="versions kept of each name, and as many that were in use before; older ones lose their files"
    )
    bootstrap: int = Field(1000, ge=1, description="resamples behind the interval of each figure")
    confidence: float = Field(0.95, gt=0, lt=1, description="of intervals")
    seed: int = Field(0, ge=0, description="of the sample of users and of resampling")
