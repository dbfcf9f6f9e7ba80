"""What the columns of a source mean: which is the user, what the times are counted in, which rows cannot be read and why.

Ibis expressions alone; text is parsed by the same patterns and the same arithmetic on every engine.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ibis
from ibis import _

from tastemaker.data.config import Columns, DataConfig
from tastemaker.data.io import POSITION, Reject, Scan, keep
from tastemaker.errors import DataError

if TYPE_CHECKING:
    from tastemaker.data.prepare import Part

ROLES = ("user", "item", "time", "value", "kind", "history", "review")

_NAMES = {
    "user": (
        "user_id user userid uid customer_id customer reviewer_id reviewer visitor_id visitor member_id member account_id "
        "client_id buyer_id shopper_id reader_id listener_id author_id session_id session"
    ),
    "item": (
        "item_id item itemid iid movie_id movie product_id product stock_code parent_asin asin sku article_id article song_id track_id "
        "track artist_id artist book_id isbn news_id video_id business_id venue_id place_id poi_id content_id game_id app_id listing_id "
        "item_ids items product_ids sequence"
    ),
    "time": (
        "timestamp time datetime event_time created_at unix_review_time review_time invoice_time invoice_date order_date purchase_date "
        "purchase_time click_time visit_time utc_time date_time t_dat date ts"
    ),
    "value": "value rating ratings stars overall score play_count plays playtime quantity count weight",
    "kind": "kind event_type event behavior behaviour behavior_type behaviour_type action action_type interaction_type",
    "history": "history history_item_ids history_items",
}
KNOWN_NAMES = {role: tuple(names.split()) for role, names in _NAMES.items()}

_INTEGER = r"^(0|-?[1-9][0-9]{0,17})$"
_NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$"
_NOT_FINITE = r"^[+-]?(nan|inf|infinity)$"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
_ZONE = r"( ?(Z|UTC|GMT|[+-][01][0-9](:?[0-9][0-9])?))?"
_ISO = rf"^[0-9]{{4}}[-/](0[1-9]|1[0-2])[-/](0[1-9]|[12][0-9]|3[01])([T ]{_CLOCK}{_ZONE})?$"

_UNITS = (
    (1e11, "seconds", 1_000_000),
    (1e14, "milliseconds", 1_000),
    (1e17, "microseconds", 1),
    (float("inf"), "nanoseconds", 0.001),
)
_LATEST = 253_402_300_800_000_000
"""µs of the year 10000: what lies beyond is no time"""
_LARGEST = 3.4e38
_LIST_ROOM = 1 << 20


@dataclass(frozen=True)
class Found:
    """The column that plays each part, None where the source has none."""

    user: str | None
    item: str
    time: str | None
    value: str | None
    kind: str | None
    history: str | None
    review: str | None = None

    def described(self) -> str:
        """Such as: user = customer_id, item = stock_code."""
        named = {role: getattr(self, role) for role in ROLES}
        return ", ".join(f"{role} = {column}" for role, column in named.items() if column)


@dataclass
class Meaning:
    """A source read: an Ibis table (user, item, time, value, kind, position, side, and review where named) of its readable rows, and the account."""

    table: Any
    kept: Any
    """the temporary table it reads"""
    rows: int
    accepted: int
    source_rows: int
    rejects: list[Reject]
    ordered: bool
    notes: list[str] = field(default_factory=list)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().split(":")[0])


def detect(role: str, columns: Mapping[str, Any]) -> str | None:
    """The column whose name is usual for the role; earlier names of `KNOWN_NAMES` win."""
    plain = {_plain(name): name for name in reversed(list(columns))}
    return next((plain[_plain(known)] for known in KNOWN_NAMES[role] if _plain(known) in plain), None)


def named_column(role: str, name: str, scan: Scan) -> str:
    """The column of that name. Raises DataError that lists the columns found and the nearest name."""
    if name in scan.columns:
        return name
    near = difflib.get_close_matches(name, list(scan.columns), n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"set columns.{role} to one of them"
    raise DataError(f"columns {', '.join(scan.columns)} in {scan.name}", expected=f"the {role} column {name!r}", hint=hint)


def find_columns(scan: Scan, columns: Columns, *, fold_in: bool = False) -> Found:
    """Finds the parts by the mapping, else by usual names. Without a user column, a list column makes each row a user.

    Raises:
        DataError: a mapped column is not there, or no item (or user) column can be found.
    """
    found: dict[str, str | None] = {}
    taken: set[str] = set()
    for role in ROLES:
        if wish := getattr(columns, role):
            if role == "history" and not fold_in:
                continue
            found[role] = named_column(role, wish, scan)
            taken.add(wish)
    for role in ROLES:
        if role in found:
            continue
        free = {name: kind for name, kind in scan.columns.items() if name not in taken}
        wish = getattr(columns, role)
        found[role] = detect(role, free) if wish is None and role != "review" and (role != "history" or fold_in) else None
        if found[role]:
            taken.add(str(found[role]))
    item = found["item"]
    if item is None:
        near = difflib.get_close_matches("item", [_plain(name) for name in scan.columns], n=1, cutoff=0.5)
        hint = f"perhaps {near[0]!r}? " if near else ""
        raise DataError(
            f"columns {', '.join(scan.columns)} in {scan.name}", expected="an item column", hint=f'{hint}set columns.item = "…"'
        )
    lists = scan.columns[item].is_array()
    if found["user"] is None and not lists and not found["history"]:
        raise DataError(
            f"columns {', '.join(scan.columns)} in {scan.name}", expected="a user column", hint='set columns.user = "…"'
        )
    if found["review"] and (lists or found["history"] or not scan.columns[found["review"]].is_string()):
        raise DataError(
            f"a review column {found['review']!r} of {scan.columns[found['review']]} in {scan.name}",
            expected="text, beside one item a row",
            hint="a review is about one item" if lists or found["history"] else "see columns.review",
        )
    return Found(found["user"], item, found["time"], found["value"], found["kind"], found["history"], found["review"])


def read_columns(part: Part, found: Found, config: DataConfig, *, has_times: bool, offset: int, first_row: int) -> Meaning:
    """Types the columns of one source and sets apart the rows that cannot be read.

    `offset` is added to positions so that sources stay in order; `first_row` numbers the users of rows without a user column.
    """
    scan, notes = part.scan, [found.described()]
    names = [name for name in dict.fromkeys(getattr(found, role) for role in ROLES) if name]
    source, rejects = scan.read(names)
    torn = sum(reject.rows for reject in rejects)
    source_rows = source.count().to_pyarrow().as_py()
    if source_rows + torn == 0:
        raise DataError(f"{scan.name} has no rows", expected="at least one row")
    raw, ordered = _rows(source, found, part, scan)
    if found.user is None:
        if not ordered:
            raise DataError(f"no user column in {scan.name}", expected="a user column", hint='set columns.user = "…"')
        notes.append("no user column: each row is a user")
        raw = raw.mutate(user=raw.row + first_row)
    if found.time is None:
        notes.append("no times: the order is that of the source" if ordered else "no times and no order in the source")
    facts = _probe(raw, found, has_times=has_times)
    ids = {}
    for role in ("user", "item"):
        ids[role] = _id(raw, role, facts, scan, notes)
    reason: list[tuple[Any, str]] = [(ids["user"].isnull(), "no user"), (ids["item"].isnull(), "no item")]
    if found.kind:
        kind = raw.kind.cast("string")
        kind = ibis.ifelse(kind == "", ibis.null("string"), kind)
        reason.append((kind.isnull(), "no kind of behaviour"))
    else:
        kind = ibis.literal(part.kind, "string")
    if has_times:
        time, why = _time(raw.time, facts, notes)
        reason += why
    else:
        time = ibis.literal(0, "int64")
    if found.value:
        value, why = _value(raw.value, config, required=found.kind is None)
        reason += why
    else:
        value = ibis.literal(1.0, "float64")
    judged = raw.mutate(
        user_id=ids["user"],
        item_id=ids["item"],
        at=time,
        worth=value,
        what=kind,
        reason=ibis.cases(*reason, else_=ibis.null("string")),
    )
    kept = keep(
        scan.backend,
        judged.select(
            user="user_id",
            item="item_id",
            time="at",
            value="worth",
            kind="what",
            position=(judged.position + offset) if ordered else ibis.literal(0, "int64"),
            side=judged.side if "side" in judged.columns else ibis.literal(part.side, "int8"),
            reason="reason",
            **({"review": judged.review.fill_null("")} if found.review else {}),
        ),
    )
    counts = {row["reason"]: row["rows"] for row in kept.group_by("reason").aggregate(rows=_.count()).to_pyarrow().to_pylist()}
    accepted = counts.pop(None, 0)
    if counts:
        columns = [role for role in ROLES if role in raw.columns and getattr(found, role) and role != "review"]
        rejects = rejects + _rejects(judged, counts, columns, found, ordered=ordered)
    table = kept.filter(_.reason.isnull()).drop("reason")
    return Meaning(table, kept, facts["rows"] + torn, accepted, source_rows, rejects, ordered, notes)


def _rows(source: Any, found: Found, part: Part, scan: Scan) -> tuple[Any, bool]:
    """One row an event, columns named by role, with `row` and `position` where the source has an order."""
    ordered = POSITION in source.columns
    picks = {role: source[name] for role in ROLES if (name := getattr(found, role))}
    if ordered:
        picks["row"] = source[POSITION]
    raw = source.select(**picks)
    lists = scan.columns[found.item].is_array()
    if found.history:
        if not scan.columns[found.history].is_array():
            raise DataError(
                f"{found.history!r} is {scan.columns[found.history]}", expected="a list of items in the history column"
            )
        # Known items first, what is asked for after them: labels 3 and 4 are the fold-in rows of validation and test.
        known = raw.mutate(item=raw.history).drop("history").unnest("item", offset="place", keep_empty=False)
        asked = raw.drop("history")
        asked = asked.unnest("item", offset="place", keep_empty=True) if lists else asked.mutate(place=ibis.literal(0, "int64"))
        columns = [*asked.columns, "side"]
        known = known.mutate(side=ibis.literal(part.side + 2, "int8"), place=known.place.cast("int64")).select(*columns)
        asked = asked.mutate(
            side=ibis.literal(part.side, "int8"), place=asked.place.fill_null(0).cast("int64") + _LIST_ROOM // 2
        ).select(*columns)
        raw = ibis.union(known, asked)
    elif lists:
        raw = raw.unnest("item", offset="place", keep_empty=True)
    if "place" in raw.columns:
        place = raw.place.fill_null(0).cast("int64")
        return raw.mutate(position=raw.row * _LIST_ROOM + place if ordered else place).drop("place"), True
    return (raw.mutate(position=raw.row), True) if ordered else (raw, False)


def _probe(raw: Any, found: Found, *, has_times: bool) -> dict[str, Any]:
    """One pass over the source: counts that decide how ids and times are read."""
    ask = {"rows": raw.count()}
    for role in ("user", "item"):
        column = raw[role]
        if column.type().is_string():
            text = ibis.ifelse(column == "", ibis.null("string"), column)
            ask[f"{role}_text"] = (~text.re_search(_INTEGER)).sum()
        elif column.type().is_decimal() or column.type() == ibis.dtype("uint64"):
            ask[f"{role}_text"] = (~column.cast("string").re_search(_INTEGER)).sum()
        elif column.type().is_floating():
            size = column.abs()
            # Ibis floors to an integer, which NaN and 1e300 cannot become.
            whole = ibis.ifelse(column.isnan() | (size > 2.0**53), 0.0, column)
            ask[f"{role}_broken"] = ((whole != whole.floor()) | (~column.isnan() & (size > 2.0**53))).sum()
    if has_times:
        column = raw.time
        if column.type().is_string():
            number = column.re_search(_NUMBER)
            ask["time_iso"] = column.re_search(_ISO).sum()
            column = _cast(ibis.ifelse(number, column, ibis.null("string")), "float64")
        if column.type().is_numeric():
            size, low = column.cast("float64").abs(), 0.0
            for high, unit, _factor in _UNITS:
                ask[f"time_{unit}"] = ((size >= low) & (size < high)).sum()
                low = high
    row = raw.aggregate(**ask).to_pyarrow().to_pylist()[0]
    return {name: int(value or 0) for name, value in row.items()}


def _cast(expression: Any, kind: str) -> Any:
    """A cast of what a condition has made castable. DuckDB may cast before it looks at the condition, so it is told to try."""
    return expression.try_cast(kind) if expression.get_backend().name == "duckdb" else expression.cast(kind)


def _id(raw: Any, role: str, facts: dict[str, int], scan: Scan, notes: list[str]) -> Any:
    column = raw[role]
    kind = column.type()
    if kind.is_integer() and kind != ibis.dtype("uint64"):
        return column.cast("int64")
    if kind.is_floating():
        if facts[f"{role}_broken"]:
            raise DataError(
                f"{facts[f'{role}_broken']} {role} ids with fractions or beyond 2^53 in {scan.name}",
                expected="text or integer ids",
                hint=f"is that the {role} column? see columns.{role}",
            )
        return _cast(ibis.ifelse(column.isnan(), ibis.null("float64"), column), "int64")
    if kind.is_string():
        text = ibis.ifelse(column == "", ibis.null("string"), column)
        if not scan.text:
            return text
    elif kind.is_decimal() or kind.is_integer():
        text = column.cast("string")
    elif kind.is_uuid():
        return column.cast("string")
    else:
        raise DataError(f"{role} ids of type {kind} in {scan.name}", expected="text or integer ids", hint=f"see columns.{role}")
    if facts[f"{role}_text"] == 0:
        return text.cast("int64")
    notes.append(f"{role} ids are text")
    return text


def _time(column: Any, facts: dict[str, int], notes: list[str]) -> tuple[Any, list[tuple[Any, str]]]:
    """µs since 1970 and the reasons a time is none."""
    kind = column.type()
    if kind.is_timestamp() or kind.is_date():
        notes.append(
            f"time: {'dates' if kind.is_date() else 'timestamps'} of the source"
            + ("" if getattr(kind, "timezone", None) else ", taken as UTC")
        )
        stamp = column.cast("timestamp") if kind.is_date() else column
        seconds = stamp.truncate("s").epoch_seconds().cast("float64").cast("int64")
        micro = seconds * 1_000_000 + stamp.microsecond().cast("int64")
        return micro, [
            (column.isnull(), "no time"),
            (micro < 0, "time before 1970"),
            (micro >= _LATEST, "time after the year 9999"),
        ]
    if not (kind.is_numeric() or kind.is_string()):
        raise DataError(f"times of type {kind}", expected="epoch numbers, timestamps or ISO text", hint="see columns.time")
    number, iso, why = column, None, [(column.isnull(), "no time")]
    if kind.is_string():
        number = _cast(ibis.ifelse(column.re_search(_NUMBER), column, ibis.null("string")), "float64")
        iso = _iso(column)
        why.append((column.re_search(_NOT_FINITE) | column.lower().re_search(_NOT_FINITE), "time not finite"))
        why.append((number.isnull() & iso.isnull(), "time not readable"))
    elif kind.is_floating():
        odd = column.isnan() | column.isinf()
        why.append((odd, "time not finite"))
        number = ibis.ifelse(odd, ibis.null("float64"), column)
    counts = {unit: facts.get(f"time_{unit}", 0) for _high, unit, _factor in _UNITS}
    factor = 1.0
    if any(counts.values()):
        unit = max(counts, key=lambda name: counts[name])
        factor = next(f for _high, name, f in _UNITS if name == unit)
        notes.append(f"time: epoch {unit}")
    if facts.get("time_iso"):
        notes.append("time: ISO text, without a zone taken as UTC")
    size = number.cast("float64") * float(factor)
    why += [(size < 0, "time before 1970"), (size >= float(_LATEST), "time after the year 9999")]
    inside = ibis.ifelse((size >= 0) & (size < float(_LATEST)), number, ibis.null(number.type()))
    if kind.is_integer():
        micro = inside.cast("int64") * int(factor) if factor >= 1 else (inside.cast("int64") / 1000).floor().cast("int64")
    else:
        micro = _cast((inside.cast("float64") * float(factor)).round(), "int64")
    if iso is not None:
        why += [(iso < 0, "time before 1970")]
        micro = ibis.coalesce(micro, iso)
    return micro, why


def _iso(text: Any) -> Any:
    """µs since 1970 of ISO 8601 text, null where it is none: civil-calendar arithmetic (H. Hinnant, days_from_civil)."""
    text = ibis.ifelse(text.re_search(_ISO), text, ibis.null("string"))
    year, month, day = (text.substr(a, n).cast("int64") for a, n in ((0, 4), (5, 2), (8, 2)))
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    length = ibis.cases((month == 2, 28 + ibis.ifelse(leap, 1, 0)), (month.isin([4, 6, 9, 11]), 30), else_=31)
    shifted = ibis.ifelse(month <= 2, year - 1, year)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + ibis.ifelse(month > 2, -3, 9)) + 2) // 5 + day - 1
    days = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    clock = ibis.ifelse(text.length() > 10, text.substr(11, 5), "00:00")
    minutes = clock.substr(0, 2).cast("int64") * 60 + clock.substr(3, 2).cast("int64")
    tail = ibis.ifelse(text.length() > 16, text.substr(16), "")
    seconds = _piece(tail, r"^:([0-9]{2})").cast("int64")
    fraction = _piece(tail, r"[.,]([0-9]{1,6})").rpad(6, "0").cast("int64")
    zone = _piece(tail, r"([+-][0-9]{2}):?[0-9]*$").cast("int64")
    zone_minutes = _piece(tail, r"[+-][0-9]{2}:?([0-9]{2})$").cast("int64")
    ahead = zone * 60 + ibis.ifelse(tail.re_search("-[0-9]{2}:?[0-9]*$"), -1, 1) * zone_minutes
    micro = ((days * 1440 + minutes - ahead) * 60 + seconds) * 1_000_000 + fraction
    return ibis.ifelse(day <= length, micro, ibis.null("int64"))


def _piece(text: Any, pattern: str) -> Any:
    """What the group matches; "0" where nothing does."""
    return ibis.ifelse(text.re_search(pattern), text.re_extract(pattern, 1), "0")


def _value(column: Any, config: DataConfig, *, required: bool) -> tuple[Any, list[tuple[Any, str]]]:
    kind, why = column.type(), []
    if required:
        why.append((column.isnull(), "no value"))
    if kind.is_string():
        number = _cast(ibis.ifelse(column.re_search(_NUMBER), column, ibis.null("string")), "float64")
        why.append((column.lower().re_search(_NOT_FINITE), "value not finite"))
        why.append((column.notnull() & number.isnull(), "value not a number"))
    elif kind.is_boolean():
        number = column.cast("int8").cast("float64")
    elif kind.is_numeric():
        number = column.cast("float64")
        why.append((number.isnan() | number.isinf(), "value not finite"))
    else:
        raise DataError(f"values of type {kind}", expected="numbers", hint='see columns.value; columns.value = "" means none')
    why.append((number.abs() > _LARGEST, "value not finite"))
    if config.negative_values == "reject":
        why.append((number < 0, "negative value (if meant: negative_values = 'keep')"))
    return number.fill_null(1.0), why


def _rejects(judged: Any, counts: dict[str, int], columns: list[str], found: Found, *, ordered: bool) -> list[Reject]:
    """Rejected rows by reason, most frequent first, each with the first such row as it stands in the source."""
    bad = judged.filter(_.reason.notnull())
    place = ibis.row_number().over(group_by="reason", order_by=bad.position if ordered else None)
    firsts = bad.mutate(place=place).filter(_.place == 0).select("reason", *columns).to_pyarrow().to_pylist()
    example = {row["reason"]: ", ".join(f"{getattr(found, role)} = {row[role]!r}" for role in columns) for row in firsts}
    return [
        Reject(reason, counts[reason], example[reason]) for reason in sorted(counts, key=lambda name: (-counts[name], name))
    ]
