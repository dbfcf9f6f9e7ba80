"""Prepare: events to interactions by Ibis expressions alone, so that the same code runs on DuckDB here or inside a database.

Only the vocabularies and the finished rows of integers leave the engine. Where a tie must be broken it is broken by the source's own
order, then by the bytes of the item id, so that every engine gives the same dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from tastemaker.data.config import DataConfig
from tastemaker.data.interactions import Interactions
from tastemaker.data.io import Reject, Scan, drop, keep, reading
from tastemaker.data.meaning import Meaning, find_columns, read_columns
from tastemaker.data.texts import clean as cleaned
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.engine.base import batches
from tastemaker.errors import ConfigError, DataError

_DAY = 86_400_000_000
_FILE = 1 << 52


@dataclass(frozen=True)
class Part:
    """A source of events and what is known of it beforehand."""

    scan: Scan
    side: int = -1
    """label of its rows where files are given per side (see `splits`), else -1"""
    kind: str | None = None
    """kind of all its events, where the source stands for one"""


@dataclass(frozen=True)
class Step:
    """Counts after a step of preparation."""

    name: str
    events: int
    users: int
    items: int


@dataclass
class Account:
    """What happened on the way: filled by `clean` and `prepare`, read by the import report."""

    rows: int = 0
    """rows in the sources: each is accepted or in `rejects`"""
    accepted: int = 0
    rejects: list[Reject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Clean:
    """Readable events: an Ibis table (user, item, time, value, kind, position, side, and review where there are reviews) and what its columns hold."""

    table: Any
    kept: list[Any]
    """the temporary tables that it reads"""
    backend: Any
    has_times: bool
    has_values: bool
    has_kinds: bool
    has_order: bool
    has_lists: bool
    has_sides: bool
    has_reviews: bool


@ibis.udf.scalar.builtin(name="convert_to")
def _convert_to(text: str, encoding: str) -> bytes:  # type: ignore[empty-body]
    """PostgreSQL's own function: text as bytes, whatever the collation."""


def bytewise(column: Any, backend: Any) -> Any:
    """An expression that sorts ids by number or by UTF-8 bytes on every engine."""
    return _convert_to(column, "UTF8") if column.type().is_string() and backend.name == "postgres" else column


def clean(parts: Sequence[Part], config: DataConfig, account: Account) -> Clean:
    """Reads meaning into the columns of all sources: ids, times in µs, finite values. What cannot be read is rejected and counted.

    Raises:
        DataError: a needed column is missing, the sources are in different databases, or no row can be read.
    """
    backend = parts[0].scan.backend
    if any(part.scan.backend is not backend for part in parts):
        names = ", ".join(part.scan.name for part in parts)
        raise DataError(f"sources in different places ({names})", expected="all events in files, or all in one database")
    found = [find_columns(part.scan, config.columns, fold_in=part.side > 0) for part in parts]
    timed = {columns.time is not None for columns in found}
    if len(timed) == 2:
        without = ", ".join(p.scan.name for p, c in zip(parts, found, strict=True) if c.time is None)
        account.notes.append(f"times are ignored: {without} has none")
    has_times = timed == {True}
    if config.kinds and not any(columns.kind or part.kind for columns, part in zip(found, parts, strict=True)):
        raise ConfigError("kinds without a kind column", expected="a column that tells the kind", hint='set columns.kind = "…"')
    meanings: list[Meaning] = []
    offset = 0
    for place, (part, columns) in enumerate(zip(parts, found, strict=True)):
        with reading(part.scan.name):
            meaning = read_columns(part, columns, config, has_times=has_times, offset=place * _FILE, first_row=offset)
        meanings.append(meaning)
        offset += meaning.source_rows
        account.rows += meaning.rows
        account.accepted += meaning.accepted
        account.rejects.extend(meaning.rejects)
        account.notes.extend(f"{part.scan.name}: {note}" for note in part.scan.notes + meaning.notes)
    if account.rows == 0:
        raise DataError("no rows", expected="events", hint=", ".join(part.scan.name for part in parts))
    tables = [meaning.table for meaning in meanings]
    for role in ("user", "item"):
        types = {str(table[role].type()) for table in tables}
        if len(types) > 1:
            account.notes.append(f"{role} ids are integers in one source and text in another: all are taken as text")
            tables = [table.mutate(**{role: table[role].cast("string")}) for table in tables]
    if account.accepted == 0:
        worst = max(account.rejects, key=lambda reject: reject.rows)
        raise DataError(
            f"all {account.rows} rows rejected, {worst.rows} for: {worst.reason} ({worst.example})", expected="readable events"
        )
    return Clean(
        ibis.union(*tables) if len(tables) > 1 else tables[0],
        [meaning.kept for meaning in meanings],
        backend,
        has_times,
        any(columns.value for columns in found),
        any(columns.kind or part.kind for columns, part in zip(found, parts, strict=True)),
        all(meaning.ordered for meaning in meanings),
        any(part.scan.columns[columns.item].is_array() for columns, part in zip(found, parts, strict=True)),
        any(part.side >= 0 for part in parts),
        config.columns.review not in (None, ""),
    )


def prepare(data: Clean, config: DataConfig, account: Account) -> tuple[Vocabulary, Vocabulary, Interactions]:
    """Filters, encodes and finishes cleaned events as `config` says; vocabularies are in sorted id order (text bytewise).

    Raises:
        DataError: nothing, one user or one item is left; names the step that took the rest.
    """
    backend = data.backend
    with reading("the events"):
        events, kinds, weights = _kinds(data, config, account)
        users = _vocabulary(backend, events, "user")
        items = _vocabulary(backend, events, "item")
        encoded = keep(
            backend,
            events.join(users, "user")
            .join(items, "item")
            .select("user_code", "item_code", "time", "value", "kind", "position", "side", *_texts(events))
            .rename(user="user_code", item="item_code"),
        )
        for source in data.kept:
            drop(backend, source)
        state = _State(backend, encoded, account)
        state.count("readable events" if not config.kinds else "of the kinds asked for")
        _filter(state, data, config)
        if config.session_gap_minutes is not None:
            users = _sessions(state, users, round(config.session_gap_minutes * 60_000_000))
        _core(state, config)
        if config.keep_last:
            order = _newest_first(state.table)
            state.apply(
                f"the newest {config.keep_last} of each user",
                state.table.mutate(place=ibis.row_number().over(group_by="user", order_by=order))
                .filter(_.place < config.keep_last)
                .drop("place"),
            )
        table = _normalise(state.table, config) if config.normalise != "none" else state.table
        rows = _fetch(table)
        drop(backend, state.table)
        user_ids = users.order_by("user_code").user.to_pyarrow()
        item_ids = items.order_by("item_code").item.to_pyarrow()
    user_vocabulary, rows["user"] = _compact(rows["user"], user_ids)
    item_vocabulary, rows["item"] = _compact(rows["item"], item_ids)
    for name, vocabulary in (("user", user_vocabulary), ("item", item_vocabulary)):
        if len(vocabulary) < 2:
            raise DataError(f"one {name} only ({vocabulary.ids[0]})", expected=f"at least two {name}s to learn from")
    return user_vocabulary, item_vocabulary, Interactions(**rows, kinds=kinds, kind_weights=weights)


class _State:
    """The events between two steps; counts each step and frees the table before it."""

    def __init__(self, backend: Any, table: Any, account: Account) -> None:
        self.backend, self.table, self.account = backend, table, account

    def apply(self, name: str, table: Any) -> Step:
        old, self.table = self.table, keep(self.backend, table)
        drop(self.backend, old)
        return self.count(name)

    def count(self, name: str) -> Step:
        step = _count(self.table, name)
        self.account.steps.append(step)
        _require(step, self.account)
        return step


def _count(table: Any, name: str) -> Step:
    row = table.aggregate(events=_.count(), users=_.user.nunique(), items=_.item.nunique()).to_pyarrow().to_pylist()[0]
    return Step(name, row["events"], row["users"], row["items"])


def _require(step: Step, account: Account) -> None:
    if step.events == 0:
        before = account.steps[-2].events if len(account.steps) > 1 else account.accepted
        raise DataError(
            f"none of {before} events is left after: {step.name}", expected="events to learn from", hint="loosen that setting"
        )


def _kinds(data: Clean, config: DataConfig, account: Account) -> tuple[Any, tuple[str, ...], tuple[float, ...]]:
    """Kinds of behaviour as places in a list: the order of the config, else sorted."""
    if not data.has_kinds:
        return data.table.mutate(kind=ibis.literal(0, "int8")), ("event",), (1.0,)
    found = sorted(data.table.select("kind").distinct().to_pyarrow()["kind"].to_pylist(), key=str.encode)
    kinds = list(config.kinds) or found
    if missing := [kind for kind in kinds if kind not in found]:
        raise DataError(
            f"no event of kind {missing[0]!r}", expected="the kinds in the data", hint=f"found: {', '.join(found[:12])}"
        )
    if len(kinds) > 127:
        raise DataError(
            f"{len(kinds)} kinds of behaviour", expected="at most 127", hint="is that the kind column? see columns.kind"
        )
    if config.kinds and (left := [kind for kind in found if kind not in kinds]):
        account.notes.append(f"events of other kinds are left out: {', '.join(left[:12])}")
    place = ibis.cases(*((_.kind == kind, ibis.literal(code, "int8")) for code, kind in enumerate(kinds)))
    table = data.table.filter(_.kind.isin(kinds)) if config.kinds else data.table
    return table.mutate(kind=place), tuple(kinds), tuple(float(config.kinds.get(kind, 1.0)) for kind in kinds)


def _vocabulary(backend: Any, events: Any, role: str) -> Any:
    """Distinct ids with codes from 0 in sorted order."""
    ids = events.select(role).distinct()
    number = ibis.row_number().over(order_by=bytewise(ids[role], backend))
    return keep(backend, ids.mutate(**{f"{role}_code": number.cast("int32")}))


def _oldest_first(table: Any) -> list[Any]:
    return [table.time, table.position, table.item, table.kind, table.value]


def _texts(table: Any) -> list[str]:
    """The columns of text that come along: none, unless reviews were asked for."""
    return [name for name in ("review",) if name in table.columns]


def _newest_first(table: Any) -> list[Any]:
    return [column.desc() for column in _oldest_first(table)]


def _filter(state: _State, data: Clean, config: DataConfig) -> None:
    if config.min_value is not None:
        if not data.has_values:
            raise ConfigError("min_value without a value column", expected="a column of values", hint='set columns.value = "…"')
        state.apply(f"value at least {config.min_value:g}", state.table.filter(_.value >= config.min_value))
    if config.duplicates == "exact" and data.has_times and not data.has_lists and not data.has_sides:
        same = ["user", "item", "time", "kind", "side"]
        texts = {name: _[name].argmin(_.position) if data.has_order else _[name].max() for name in _texts(state.table)}
        merged = state.table.group_by(same).aggregate(value=_.value.max(), position=_.position.min(), **texts)
        state.apply("exact duplicates merged", merged.select(*state.table.columns))
    elif config.duplicates in ("first", "last"):
        order = (_oldest_first if config.duplicates == "first" else _newest_first)(state.table)
        ranked = state.table.mutate(place=ibis.row_number().over(group_by=["user", "item", "side"], order_by=order))
        state.apply(f"the {config.duplicates} event of each user and item", ranked.filter(_.place == 0).drop("place"))
    if config.drop_repeats:
        before = state.table.item.lag().over(group_by=["user", "side"], order_by=_oldest_first(state.table))
        state.apply(
            "consecutive repeats dropped",
            state.table.mutate(before=before).filter(_.before.isnull() | (_.before != _.item)).drop("before"),
        )
    if config.max_per_user_per_day:
        if not data.has_times:
            raise ConfigError("max_per_user_per_day without times", expected="a time column", hint='set columns.time = "…"')
        days = state.table.mutate(day=(_.time / _DAY).floor())
        place = ibis.row_number().over(group_by=["user", "day"], order_by=_oldest_first(days))
        state.apply(
            f"at most {config.max_per_user_per_day} a user and day",
            days.mutate(place=place).filter(_.place < config.max_per_user_per_day).drop("place", "day"),
        )
    if config.max_per_user:
        few = state.table.group_by("user").aggregate(n=_.count()).filter(_.n <= config.max_per_user)
        state.apply(f"users with at most {config.max_per_user} events", state.table.semi_join(few, "user"))


def _sessions(state: _State, users: Any, gap: int) -> Any:
    """Makes each user's sessions the users; returns the new vocabulary. In time order within a user."""
    if not state.table.time.max().to_pyarrow().as_py():
        raise ConfigError("session_gap_minutes without times", expected="a time column", hint='set columns.time = "…"')
    window = {"group_by": "user", "order_by": _oldest_first(state.table)}
    before = state.table.time.lag().over(**window)
    starts = state.table.mutate(starts=ibis.ifelse((_.time - before > gap), 1, 0).fill_null(0))
    number = starts.starts.sum().over(ibis.window(group_by="user", order_by=_oldest_first(starts), preceding=None, following=0))
    numbered = keep(state.backend, starts.mutate(session=number.cast("int32") + 1).drop("starts"))
    pairs = numbered.select("user", "session").distinct()
    pairs = pairs.mutate(new=ibis.row_number().over(order_by=[pairs.user, pairs.session]).cast("int32"))
    codes = keep(state.backend, pairs)
    ids = codes.join(users.select(id="user", user="user_code"), "user")
    ids = ids.select(user=ids.id.cast("string") + "/" + ids.session.cast("string"), user_code="new")
    columns = state.table.columns
    joined = numbered.join(codes, ["user", "session"]).drop("user", "session").rename(user="new").select(*columns)
    state.apply(f"sessions cut at pauses over {gap / 60_000_000:g} minutes", joined)
    drop(state.backend, numbered)
    return ids


def _core(state: _State, config: DataConfig) -> None:
    """Users and items with too few events go: once, or until all that are left have enough."""
    needs = [(role, need) for role, need in (("item", config.min_per_item), ("user", config.min_per_user)) if need > 1]
    if not needs:
        return
    rounds, before = 0, state.account.steps[-1].events
    while True:
        rounds += 1
        table = state.table
        for role, need in needs:
            enough = table.group_by(role).aggregate(n=_.count()).filter(_.n >= need)
            table = table.semi_join(enough, role)
        old, state.table = state.table, keep(state.backend, table)
        drop(state.backend, old)
        left = state.table.count().to_pyarrow().as_py()
        if config.core == "once" or left == before or len(needs) == 1:
            break
        before = left
    limits = " and ".join(f"at least {need} events of each {role}" for role, need in needs)
    state.count(limits + (f" ({rounds} rounds)" if rounds > 1 else ""))


def _normalise(table: Any, config: DataConfig) -> Any:
    if config.normalise == "log":
        if table.value.min().to_pyarrow().as_py() <= -1:
            raise DataError("values of -1 or less", expected="values above -1 for normalise = 'log'")
        return table.mutate(value=(_.value + 1.0).ln())
    if config.normalise == "min_max":
        low, high = table.aggregate(low=_.value.min(), high=_.value.max()).to_pyarrow().to_pylist()[0].values()
        return table.mutate(value=(_.value - low) / (high - low) if high > low else ibis.literal(1.0))
    stats = table.group_by("user").aggregate(mean=_.value.mean(), sd=_.value.std(how="pop"))
    joined = table.join(stats, "user")
    return joined.mutate(value=ibis.ifelse(joined.sd > 1e-9, (joined.value - joined["mean"]) / joined.sd, 0.0)).drop(
        "mean", "sd"
    )


def _fetch(table: Any) -> dict[str, Any]:
    """The rows as arrays by user, time, place in the source, item; codes are in id order, so ids and codes sort alike."""
    types = {"user": "int32", "item": "int32", "time": "int64", "value": "float32", "kind": "int8", "side": "int8"}
    ordered = table.order_by([table.user, *_oldest_first(table)]).select(*types, *_texts(table))
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in types}
    reviews: list[pa.Array] = []
    for batch in batches(ordered):
        for name, kind in types.items():
            pieces[name].append(batch.column(name).to_numpy(zero_copy_only=False).astype(kind))
        texts = [batch.column(name).to_pylist() for name in _texts(table)]
        reviews += [pa.array([cleaned(text) for text in column], pa.large_string()) for column in texts]
    rows: dict[str, Any] = {name: np.concatenate(pieces.pop(name)) for name in types}
    return rows | {name: pa.concat_arrays(reviews) for name in _texts(table)}


def _compact(codes: np.ndarray, ids: Any) -> tuple[Vocabulary, np.ndarray]:
    """Closes the gaps that dropped ids left: order stays, codes then start at FIRST."""
    used = np.bincount(codes, minlength=len(ids)) > 0
    places = (np.cumsum(used) - 1 + FIRST).astype(np.int32)
    return Vocabulary(pc.filter(ids, pa.array(used))), places[codes]
