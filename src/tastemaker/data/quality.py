"""Quality: what is in a dataset, and what is wrong with it and its split. Every problem names its remedy, a key of the config.

Severities: *error*, no honest result can come of it; *warning*, numbers will mislead unless something is done; *note*, worth knowing.
Shares are 0…1. Nothing is changed here: the remedies are settings of `[data]` and `[split]`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.data.splits import TEST, TRAIN, VALIDATION, Side, Split, tie_sensitive

_DAY = 86_400_000_000
_MINUTE = 60_000_000
_LISTED = 10
"""How many suspicious users a reason lists by id; all are counted."""
BUSY_DAY, HAMMERED, RAPID = 300, 50, 40
"""The least that can be suspicious: events on a day, events on one item, different moments within one minute."""


@dataclass(frozen=True)
class Problem:
    """Something wrong, and what to do about it."""

    code: str
    severity: Literal["error", "warning", "note"]
    message: str
    remedy: str


@dataclass(frozen=True)
class Tail:
    """How events spread over users, or over items: quantiles of events per head."""

    mean: float
    min: int
    p10: float
    p50: float
    p90: float
    p99: float
    max: int
    gini: float
    """0: all alike, towards 1: a few have all"""
    top_share: float
    """share of all events that the top 1 % (at least one) of heads have"""


@dataclass(frozen=True)
class Times:
    """When events happened, and how many share a moment."""

    first: str
    """ISO 8601, UTC"""
    last: str
    span_days: float
    tied_share: float
    """share of rows that share user and time with another row"""


@dataclass(frozen=True)
class SideFacts:
    """What a side of the split asks, and what of it is cold or leaked."""

    rows: int
    users: int
    """who are asked"""
    cold_users: int
    """asked users of whom nothing is known when they ask"""
    untrained_users: int
    """asked users without a training row: models must work from their history"""
    cold_items: int
    """distinct items on this side without a training row"""
    cold_item_rows: int
    """rows of such items: out of reach of a model that knows items by code alone"""
    known_rows: int
    """rows whose (user, item) is also in what is known: unreachable while seen items are filtered, trivial when they are not"""
    future_share: float | None
    """mean over asked users of the share of training rows that are later than the user's first row here; None without times"""
    own_future_users: int | None
    """asked users whose own known rows are later than their first row here"""
    tie_sensitive: int
    """rows whose item another order of equal timestamps would change, at most"""


@dataclass(frozen=True)
class Suspicion:
    """Users who behave like machines, for one reason."""

    reason: Literal["busy_day", "hammered_item", "superhuman_speed"]
    limit: int
    """what is suspicious beyond"""
    users: int
    """how many users"""
    events: int
    """how many events these users have in all"""
    worst: list[dict[str, Any]]
    """the worst few: {"user": id, "found": how many}"""


@dataclass(frozen=True)
class QualityReport:
    """What `describe` found. Prints itself with rich; `to_dict` is plain JSON, `to_text` plain text."""

    users: int
    items: int
    interactions: int
    pairs: int
    """distinct (user, item)"""
    density: float
    """pairs / (users × items)"""
    kinds: dict[str, int]
    """rows of each kind of behaviour"""
    values: dict[str, float] | None
    """min, mean, max, distinct of explicit values; None where all are 1"""
    times: Times | None
    user_tail: Tail
    item_tail: Tail
    duplicates: int
    """rows equal to an earlier one in user, item, time and kind; 0 where the data has no times"""
    repeats: int
    """rows whose (user, item) the user had before"""
    consecutive_repeats: int
    """rows whose item is that of the user's row before"""
    split: str | None
    train_rows: int | None
    sides: dict[str, SideFacts]
    suspicious: list[Suspicion]
    problems: list[Problem]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON."""
        return asdict(self)

    def to_text(self, width: int = 110) -> str:
        """The report as plain text."""
        console = Console(file=io.StringIO(), width=width, no_color=True, highlight=False)
        console.print(self)
        file = console.file
        assert isinstance(file, io.StringIO)
        return file.getvalue()

    def __rich__(self) -> RenderableType:
        """What a rich console prints."""
        return Group(*_render(self))


def describe(dataset: Dataset, split: Split | None = None, *, now: datetime | None = None) -> QualityReport:
    """Looks at a dataset, and at what a split makes of it. `now` (default: the clock) is what times should not lie beyond."""
    rows = dataset.interactions
    num_users, num_items = dataset.users.size, dataset.items.size
    pair = rows.user.astype(np.int64) * num_items + rows.item
    pairs, pair_of, pair_counts = np.unique(pair, return_inverse=True, return_counts=True)
    same_user = rows.user[1:] == rows.user[:-1]
    per_user, per_item = np.bincount(rows.user, minlength=num_users)[2:], np.bincount(rows.item, minlength=num_items)[2:]
    kinds = np.bincount(rows.kind, minlength=len(rows.kinds))
    facts: dict[str, Any] = {
        "users": len(dataset.users),
        "items": len(dataset.items),
        "interactions": len(rows),
        "pairs": len(pairs),
        "density": len(pairs) / max(len(dataset.users) * len(dataset.items), 1),
        "kinds": {kind: int(count) for kind, count in zip(rows.kinds, kinds, strict=True)},
        "values": _values(rows.value),
        "times": _times(rows) if rows.has_times else None,
        "user_tail": _tail(per_user),
        "item_tail": _tail(per_item),
        "duplicates": _duplicates(rows, pair_of) if rows.has_times else 0,
        "repeats": len(rows) - len(pairs),
        "consecutive_repeats": int((same_user & (rows.item[1:] == rows.item[:-1])).sum()),
        "split": split.kind if split else None,
        "train_rows": int((split.label == TRAIN).sum()) if split else None,
        "sides": _sides(split, pair_of, len(pairs), num_users, num_items) if split else {},
        "suspicious": _suspicions(dataset, pairs // num_items, pair_counts, per_user),
    }
    problems = [*_data_problems(QualityReport(**facts, problems=[]), rows, per_user, per_item, now or datetime.now(UTC))]
    of_split: dict[str, Problem] = {}
    for side, found in facts["sides"].items():  # a problem of both sides is told once, with the figures of test
        of_split |= {problem.code: problem for problem in _split_problems(side, found, facts["split"])}
    problems += of_split.values()
    order = {"error": 0, "warning": 1, "note": 2}
    return QualityReport(**facts, problems=sorted(problems, key=lambda problem: order[problem.severity]))


def _values(value: np.ndarray) -> dict[str, float] | None:
    if (value == 1).all():
        return None
    return {
        "min": float(value.min()),
        "mean": float(value.mean(dtype=np.float64)),
        "max": float(value.max()),
        "distinct": len(np.unique(value)),
    }


def _times(rows: Interactions) -> Times:
    first, last = int(rows.time.min()), int(rows.time.max())
    tied = (rows.user[1:] == rows.user[:-1]) & (rows.time[1:] == rows.time[:-1])
    alone = ~(np.append(tied, False) | np.insert(tied, 0, False))
    return Times(_iso(first), _iso(last), (last - first) / _DAY, 1 - float(alone.mean()))


def _iso(time: int) -> str:
    return str(np.datetime64(time, "us").astype("datetime64[s]"))


def _tail(counts: np.ndarray) -> Tail:
    if not len(counts) or not counts.sum():
        return Tail(0.0, 0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0)
    ordered = np.sort(counts).astype(np.float64)
    total, size = ordered.sum(), len(ordered)
    gini = 2 * (np.arange(1, size + 1) @ ordered) / (size * total) - (size + 1) / size
    p10, p50, p90, p99 = (float(q) for q in np.quantile(ordered, [0.1, 0.5, 0.9, 0.99]))
    top = float(ordered[-max(size // 100, 1) :].sum() / total)
    return Tail(float(total / size), int(ordered[0]), p10, p50, p90, p99, int(ordered[-1]), max(float(gini), 0.0), top)


def _duplicates(rows: Interactions, pair_of: np.ndarray) -> int:
    order = np.lexsort((rows.kind, rows.time, pair_of))
    same = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for column in (pair_of, rows.time, rows.kind):
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    return int(same.sum())


def _sides(split: Split, pair_of: np.ndarray, num_pairs: int, num_users: int, num_items: int) -> dict[str, SideFacts]:
    rows, train = split.interactions, split.label == TRAIN
    trained_item = np.zeros(num_items, dtype=bool)
    trained_item[rows.item[train]] = True
    train_times = np.sort(rows.time[train]) if rows.has_times else None
    sides: dict[str, SideFacts] = {}
    names: tuple[tuple[Side, int], ...] = (("validation", VALIDATION), ("test", TEST))
    for side, code in names:
        asked = np.flatnonzero(split.label == code)
        if not len(asked):
            continue
        known = np.flatnonzero(split.known(side))
        known_pair, known_user, learned = (np.zeros(n, dtype=bool) for n in (num_pairs, num_users, num_users))
        known_pair[pair_of[known]] = True
        known_user[rows.user[known]] = True
        learned[rows.user[train]] = True
        users, first = np.unique(rows.user[asked], return_index=True)
        cold = ~trained_item[rows.item[asked]]
        future_share = own_future = None
        if train_times is not None:
            moment = rows.time[asked][first]
            future_share = float(1 - (np.searchsorted(train_times, moment, side="right") / max(len(train_times), 1)).mean())
            newest = np.full(num_users, np.iinfo(np.int64).min)
            newest[rows.user[known]] = rows.time[known]  # known rows ascend in time within a user: the newest is written last
            own_future = int((newest[users] > moment).sum())
        sides[side] = SideFacts(
            rows=len(asked),
            users=len(users),
            cold_users=int((~known_user[users]).sum()),
            untrained_users=int((~learned[users]).sum()),
            cold_items=len(np.unique(rows.item[asked][cold])),
            cold_item_rows=int(cold.sum()),
            known_rows=int(known_pair[pair_of[asked]].sum()),
            future_share=future_share,
            own_future_users=own_future,
            tie_sensitive=tie_sensitive(split, side),
        )
    return sides


def _suspicions(dataset: Dataset, pair_user: np.ndarray, pair_counts: np.ndarray, per_user: np.ndarray) -> list[Suspicion]:
    """Users far beyond the others: limits are ten times the 90 % quantile of users (of pairs the 99 %), and never below a floor."""
    rows, size = dataset.interactions, dataset.users.size
    if not len(rows):
        return []
    found: list[Suspicion] = []

    def report(reason: Literal["busy_day", "hammered_item", "superhuman_speed"], most: np.ndarray, limit: int) -> None:
        worst = np.argsort(-most, kind="stable")[: int((most > limit).sum())]
        if len(worst):
            listed = [
                {"user": id_, "found": int(most[code])}
                for id_, code in zip(dataset.users.decode(worst[:_LISTED]), worst[:_LISTED], strict=True)
            ]
            found.append(Suspicion(reason, limit, len(worst), int(per_user[worst - 2].sum()), listed))

    if rows.has_times:
        day = rows.time // _DAY
        starts = np.flatnonzero(np.insert((rows.user[1:] != rows.user[:-1]) | (day[1:] != day[:-1]), 0, True))
        most = _most(rows.user[starts], np.diff(np.append(starts, len(rows))), size)
        report("busy_day", most, max(BUSY_DAY, int(10 * np.quantile(most[most > 0], 0.9))))
    most = _most(pair_user, pair_counts, size)
    report("hammered_item", most, max(HAMMERED, int(10 * np.quantile(pair_counts, 0.99))))
    if rows.has_times:
        # rows at one moment count once: a page sent at once, or coarse times, are no sign of a machine
        fresh = np.flatnonzero(np.insert((rows.user[1:] != rows.user[:-1]) | (rows.time[1:] != rows.time[:-1]), 0, True))
        user, time = rows.user[fresh].astype(np.int64), rows.time[fresh] - rows.time.min()
        line = user * (int(time.max()) + 2 * _MINUTE) + time  # ascends; users lie more than a minute apart
        within = np.arange(1, len(line) + 1) - np.searchsorted(line, line - _MINUTE, side="right")
        report("superhuman_speed", _most(user, within, size), RAPID)
    return found


def _most(user: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    most = np.zeros(size, dtype=np.int64)
    np.maximum.at(most, user, counts)
    return most


def _data_problems(
    report: QualityReport, rows: Interactions, per_user: np.ndarray, per_item: np.ndarray, now: datetime
) -> Iterator[Problem]:
    count = max(report.interactions, 1)
    if report.users < 2 or report.items < 2:
        yield Problem(
            "too_small",
            "error",
            f"{report.users:,} users and {report.items:,} items: there is nothing to compare or to rank",
            "check data.columns.user and data.columns.item, and lower data.min_per_user and data.min_per_item",
        )
    if report.times is None:
        yield Problem(
            "no_times",
            "note",
            "no times: the order is that of the source, and leakage from the future cannot be seen",
            "name the time column in data.columns.time if there is one",
        )
    elif (zero := int((rows.time <= 0).sum())) or report.times.first < "1990":
        yield Problem(
            "early_times",
            "warning",
            f"times begin at {report.times.first}, {zero:,} rows are not after 1970-01-01: a wrong unit or missing times",
            "check data.columns.time and the unit of times at the source",
        )
    limit = int((now + timedelta(days=1)).timestamp() * 1_000_000)
    if late := int((rows.time > limit).sum()):
        yield Problem(
            "future_times",
            "warning",
            f"{late:,} rows ({_percent(late / count)}) lie in the future, up to {_iso(int(rows.time.max()))}",
            "check data.columns.time and the unit of times at the source",
        )
    if report.duplicates:
        yield Problem(
            "duplicates",
            "warning",
            f"{report.duplicates:,} rows ({_percent(report.duplicates / count)}) equal another in user, item, time and kind",
            'set data.duplicates = "exact"',
        )
    if report.consecutive_repeats > 0.01 * count:
        yield Problem(
            "consecutive_repeats",
            "note",
            f"{report.consecutive_repeats:,} rows ({_percent(report.consecutive_repeats / count)}) repeat the item just before:"
            " next-item models learn to say the same again",
            "set data.drop_repeats = true",
        )
    if report.repeats > 0.01 * count:
        yield Problem(
            "repeats",
            "note",
            f"{report.repeats:,} rows ({_percent(report.repeats / count)}) repeat an item that the user had before",
            'set data.duplicates = "last" if only the newest counts, or recommend with --include-seen if people do come back',
        )
    if (few := float((per_user < 3).mean()) if len(per_user) else 0.0) > 0.5:
        yield Problem(
            "light_users",
            "note",
            f"{_percent(few)} of users have fewer than 3 events: leave_last never asks them",
            'set data.min_per_user = 3, or split.kind = "by_time" to judge them too',
        )
    if (rare := float((per_item < 5).mean()) if len(per_item) else 0.0) > 0.5:
        yield Problem(
            "rare_items",
            "note",
            f"{_percent(rare)} of items have fewer than 5 events: too few to learn a code by",
            "set data.min_per_item = 5, or bring a catalogue in data.items",
        )
    for suspicion in report.suspicious:
        yield _suspicion_problem(suspicion, report.users, count)


_REASONS = {
    "busy_day": (
        "have more than {limit:,} events on one day",
        "set data.max_per_user_per_day = {limit} to cap them, or data.max_per_user to leave such users out",
    ),
    "hammered_item": (
        "have more than {limit:,} events on a single item",
        'set data.duplicates = "first" to count an item once, or data.max_per_user to leave such users out',
    ),
    "superhuman_speed": (
        "act at more than {limit:,} different moments within one minute",
        "set data.max_per_user_per_day to cap them, or data.max_per_user to leave such users out",
    ),
}


def _suspicion_problem(suspicion: Suspicion, users: int, count: int) -> Problem:
    what, remedy = (text.format(limit=suspicion.limit) for text in _REASONS[suspicion.reason])
    worst = ", ".join(f"{entry['user']!r} ({entry['found']:,})" for entry in suspicion.worst[:3])
    return Problem(
        suspicion.reason,
        "warning",
        f"{suspicion.users:,} of {users:,} users {what}, like machines; they make {_percent(suspicion.events / count)} of all events: {worst}",
        remedy,
    )


def _split_problems(side: str, found: SideFacts, kind: str) -> Iterator[Problem]:
    if found.future_share is not None and found.future_share > 0.01:
        yield Problem(
            "future_leakage",
            "warning",
            f"{side}: when a user is asked, {_percent(found.future_share)} of the training rows lie in the future, on average:"
            " trends are known in advance, and figures flatter",
            'set split.kind = "by_time"' if kind != "by_time" else 'set split.carve = "time"',
        )
    if found.own_future_users:
        yield Problem(
            "own_future",
            "warning",
            f"{side}: {found.own_future_users:,} of {found.users:,} asked users have history later than what they are asked for",
            'set split.kind = "by_time" or "leave_last"',
        )
    if found.known_rows > 0.001 * found.rows:
        yield Problem(
            "known_pairs",
            "warning",
            f"{side}: {found.known_rows:,} of {found.rows:,} rows ({_percent(found.known_rows / found.rows)}) ask for an item of the"
            " user's own history: out of reach while seen items are left out, and trivial when they are not",
            'set data.duplicates = "first" to ask for new items only, or evaluate.filter_seen = false where people do come back',
        )
    if found.tie_sensitive > 0.01 * found.rows:
        yield Problem(
            "timestamp_ties",
            "warning",
            f"{side}: another order of equal timestamps would change up to {found.tie_sensitive:,} of {found.rows:,} items"
            f" ({_percent(found.tie_sensitive / found.rows)}): results compare only with the same source order",
            'name a finer time in data.columns.time, or ask for all later items: split.kind = "by_time", split.target = "all"',
        )
    if found.cold_users > 0.01 * found.users:
        yield Problem(
            "cold_users",
            "note",
            f"{side}: of {found.cold_users:,} of {found.users:,} asked users ({_percent(found.cold_users / found.users)}) nothing is known",
            'they get what the model gives to anybody; set evaluate.new_users = "exclude" to ask the others only,'
            " or raise data.min_per_user",
        )
    if found.cold_item_rows > 0.01 * found.rows:
        yield Problem(
            "cold_items",
            "note",
            f"{side}: {found.cold_item_rows:,} of {found.rows:,} rows ({_percent(found.cold_item_rows / found.rows)}) ask for one of"
            f" {found.cold_items:,} items that training never saw",
            "no model that knows items by code alone can name them; raise data.min_per_item to leave rare items out",
        )


def _percent(share: float) -> str:
    if 0.99 < share < 1:
        return "> 99 %"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def _render(report: QualityReport) -> Iterator[RenderableType]:
    yield _pairs_table("Data", _overview(report))
    tails = _grid("Events per head", "", "mean", "min", "p10", "median", "p90", "p99", "max", "gini", "top 1 % have")
    for name, tail in (("user", report.user_tail), ("item", report.item_tail)):
        quantiles = (f"{value:,.0f}" for value in (tail.min, tail.p10, tail.p50, tail.p90, tail.p99, tail.max))
        tails.add_row(name, f"{tail.mean:,.1f}", *quantiles, f"{tail.gini:.2f}", _percent(tail.top_share))
    yield tails
    if report.sides:
        sides = _grid(f"Split {report.split}: {report.train_rows:,} training rows", "", *report.sides)
        for label, values in _side_lines(list(report.sides.values())):
            sides.add_row(label, *values)
        yield sides
    if report.suspicious:
        table = _grid("Suspicious users", "reason", "limit", "users", "events", "worst")
        for suspicion in report.suspicious:
            worst = ", ".join(f"{entry['user']} ({entry['found']:,})" for entry in suspicion.worst[:3])
            table.add_row(
                suspicion.reason, f"{suspicion.limit:,}", f"{suspicion.users:,}", f"{suspicion.events:,}", Text(worst)
            )
        yield table
    if not report.problems:
        yield Text("No problem found.", style="green")
        return
    yield Text(f"\nFindings: {len(report.problems)}", style="bold")
    styles = {"error": "bold red", "warning": "yellow", "note": "cyan"}
    for problem in report.problems:
        yield Text.assemble((f"{problem.severity} ", styles[problem.severity]), (problem.code, "bold"), f"  {problem.message}")
        yield Text(f"    remedy: {problem.remedy}", style="dim")


def _overview(report: QualityReport) -> Iterator[tuple[str, str]]:
    yield "interactions", f"{report.interactions:,}"
    yield "users, items", f"{report.users:,}, {report.items:,}"
    yield "distinct pairs", f"{report.pairs:,} (density {100 * report.density:.3g} %)"
    if len(report.kinds) > 1:
        yield "kinds", ", ".join(f"{kind} {count:,}" for kind, count in report.kinds.items())
    if values := report.values:
        yield "values", f"{values['min']:g} … {values['max']:g}, mean {values['mean']:.3g}, {values['distinct']:,} different"
    if times := report.times:
        yield "times", f"{times.first} … {times.last} ({times.span_days:,.1f} days)"
        yield "rows sharing a moment", _percent(times.tied_share)
        yield "duplicates", f"{report.duplicates:,}"
    yield "repeated pairs", f"{report.repeats:,} ({report.consecutive_repeats:,} one after the other)"


def _side_lines(sides: list[SideFacts]) -> Iterator[tuple[str, list[str]]]:
    def of(part: int, whole: int) -> str:
        return f"{part:,} ({_percent(part / max(whole, 1))})"

    yield "rows", [f"{side.rows:,}" for side in sides]
    yield "asked users", [f"{side.users:,}" for side in sides]
    yield "… with no history", [of(side.cold_users, side.users) for side in sides]
    yield "… without training rows", [of(side.untrained_users, side.users) for side in sides]
    yield "items never trained on", [f"{side.cold_items:,}" for side in sides]
    yield "… rows asking for them", [of(side.cold_item_rows, side.rows) for side in sides]
    yield "rows of known pairs", [of(side.known_rows, side.rows) for side in sides]
    yield "rows another tie order changes", [of(side.tie_sensitive, side.rows) for side in sides]
    if any(side.future_share is not None for side in sides):
        yield "training rows in the future", [_percent(side.future_share or 0.0) for side in sides]
        yield "users with own later history", [of(side.own_future_users or 0, side.users) for side in sides]


def _grid(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right", style="" if place else "dim")
    return table


def _pairs_table(title: str, pairs: Iterator[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    for name, value in pairs:
        table.add_row(name, value)
    return table
