"""The `[data]` section: where the events are and what becomes of them before a model sees them."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tastemaker.settings import Settings

Count = Annotated[int, Field(ge=1)]


class Columns(Settings):
    """Which column plays which part. None: found by its name and stated in the report; "": the source has no such column."""

    user: str | None = None
    """who; without one, each row is a user where `item` holds lists"""
    item: str | None = None
    """a list column is one sequence a row, oldest first"""
    time: str | None = None
    """epoch seconds, milliseconds, microseconds, or ISO text; without a zone taken as UTC"""
    value: str | None = None
    """a rating, an amount, seconds played"""
    kind: str | None = None
    """view, cart, purchase, …"""
    review: str | None = None
    """what the user wrote about the item, for models that read reviews; never found by its name, since text weighs"""
    history: str | None = None
    """in given validation and test files: a list column of what was known of the user; these rows are never trained on"""


class DataConfig(Settings):
    """Where the events are and how they are prepared; steps run in the order of the fields below.

    A source is a file (`.csv`, `.tsv`, `.dat`, `.txt`, `.jsonl`, `.ndjson`, `.json`, `.parquet`; text also with `.gz`), a pattern such as
    `events/*.parquet`, a folder written by `data import`, or a database table `URL#table` such as
    `postgresql://user:password@host/db#events`, `duckdb:///file.db#events` or `sqlite:///file.db#schema.events`.
    """

    events: str | list[str] | dict[str, str] | None = None
    """one source, several, or a source for each kind of behaviour: {buy = "buys.csv", view = "views.csv"}"""
    items: str | None = None
    """the catalogue; its columns become features"""
    users: str | None = None
    """what is known of users; its columns become features"""
    columns: Columns = Columns()
    """which column plays which part"""

    kinds: dict[str, float] = Field(default_factory=dict)
    """weight of each kind of behaviour; when given, events of other kinds are left out (and counted). Empty: all, weight 1"""
    negative_values: Literal["reject", "keep"] = "reject"
    """whether rows with a value below 0 are rejected (and counted)"""
    min_value: float | None = None
    """events with a lower value are left out: 3 keeps ratings of 3 and more"""
    duplicates: Literal["exact", "first", "last", "keep"] = "exact"
    """exact: rows alike in user, item, time and kind become one (the largest value stays; rows without times and lists of items are left alone);
    first, last: one event per user and item; keep: all. Rows of different given files are never merged"""
    drop_repeats: bool = False
    """drops an event whose user did the same with the same item just before"""
    max_per_user_per_day: Count | None = None
    """a user's events beyond so many on one day (UTC) are left out"""
    max_per_user: Count | None = None
    """users with more events than this are left out whole, as bots"""
    session_gap_minutes: Annotated[float, Field(gt=0)] | None = None
    """cuts each user's events where the pause is longer; a session then plays the user: "anna/1", "anna/2", …"""
    min_per_user: Count = 1
    """users with fewer events are left out"""
    min_per_item: Count = 1
    """items with fewer events are left out"""
    core: Literal["iterate", "once"] = "iterate"
    """iterate: until every user and item left has enough events (k-core); once: items are judged first, then users"""
    keep_last: Count | None = None
    """keeps the newest so many events of each user"""
    normalise: Literal["none", "min_max", "z_score", "log"] = "none"
    """of values: min_max over all rows to 0…1; z_score per user; log: ln(1 + value). Uses all rows, whatever the split"""

    memory_gb: Annotated[float, Field(gt=0)] | None = None
    """what table work may hold in memory before it spills to disk; None: half of the machine's"""
    threads: Count | None = None
    """cores that table work may use; None: all"""

    @field_validator("kinds")
    @classmethod
    def _weights(cls, kinds: dict[str, float]) -> dict[str, float]:
        for kind, weight in kinds.items():
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"a finite weight above 0 for {kind!r}")
        return kinds
