"""Load: from sources to a Dataset in one call, with an account of what was found, left out and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tastemaker.data.catalogue import aligned, read_attributes
from tastemaker.data.config import DataConfig
from tastemaker.data.dataset import Dataset
from tastemaker.data.io import Reject, Sources
from tastemaker.data.prepare import Account, Clean, Part, Step, clean, prepare
from tastemaker.data.splits import TEST, TRAIN, VALIDATION
from tastemaker.engine.base import Engine, batches
from tastemaker.engine.local import LocalEngine
from tastemaker.errors import ConfigError, DataError

_SIDES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}


@dataclass(frozen=True)
class ImportReport:
    """What was read, what was left out and why: `accepted` + the rows of `rejects` = `rows`."""

    sources: list[str]
    rows: int
    accepted: int
    rejects: list[Reject]
    steps: list[Step]
    """counts after each step of preparation, in order"""
    notes: list[str]
    """what was detected: columns, units of time, encodings"""
    attributes: dict[str, dict[str, int]] = field(default_factory=dict)
    """for "items" and "users": rows in the file, matched, without events, missing, repeated"""

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """The report for people."""
        lines = [f"read {self.rows:,} rows from {', '.join(self.sources)}", *(f"  {note}" for note in self.notes)]
        lines.append(f"accepted {self.accepted:,}, rejected {self.rows - self.accepted:,}")
        lines += [f"  {reject.rows:,} rows: {reject.reason}; such as {reject.example}" for reject in self.rejects]
        lines += [f"{step.name}: {step.events:,} events, {step.users:,} users, {step.items:,} items" for step in self.steps]
        for role, counts in self.attributes.items():
            lines.append(f"{role}: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))
        return "\n".join(lines)


def load_dataset(
    config: DataConfig,
    base: Path = Path(),
    given: Mapping[str, str | dict[str, str]] | None = None,
    engine: Engine | None = None,
) -> tuple[Dataset, ImportReport]:
    """Reads, cleans and prepares the sources of `config`; relative paths start at `base`.

    `given` names a source, or one for each kind of behaviour, for each side of a given split ("train", "validation", "test") in place of
    `config.events`; the rows' `Interactions.side` then tells the side. `engine` defaults to this machine with the limits of `config`.

    Raises:
        DataError: a source cannot be read as asked, or nothing to learn from is left.
        ConfigError: settings contradict each other or have no effect.
    """
    sources: dict[str, Any] = {"events": config.events, "items": config.items, "users": config.users}
    return _load(config, base, given, engine, sources)


def load(events: Any, items: Any = None, users: Any = None, **settings: Any) -> Dataset:
    """A dataset from files, `URL#table`s or frames of pandas, polars or pyarrow.

    `settings` are those of `DataConfig`, and `user`, `item`, `time`, `value`, `kind`, `review` name columns:
    `load(frame, user="customer", item="sku", min_per_item=5)`.

    Raises:
        DataError: a source cannot be read as asked, or nothing to learn from is left.
        ConfigError: an unknown setting; names the nearest.
    """
    named = {role: settings.pop(role) for role in ("user", "item", "time", "value", "kind", "review") if role in settings}
    if named:
        settings["columns"] = {**settings.get("columns", {}), **named}
    config = DataConfig.parse(settings)
    return _load(config, Path(), None, None, {"events": events, "items": items, "users": users})[0]


def import_to(folder: Path | str, config: DataConfig, base: Path = Path(), engine: Engine | None = None) -> ImportReport:
    """Writes what can be read as a folder of Parquet files that `events = "FOLDER"` takes as a source again.

    `events.parquet` (user_id, item_id, and time, value, kind, review where the source has them; rows in the order of the source),
    `items.parquet`, `users.parquet` where given, and `import.json`, the report. Nothing is filtered or merged: that is left to
    whoever reads the folder, so both ways give the same dataset.

    Raises:
        DataError: a source cannot be read as asked.
    """
    sources: dict[str, Any] = {"events": config.events, "items": config.items, "users": config.users}
    with _opened(config, base, None, engine, sources) as (opened, data, account, names):
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _write_events(data, folder / "events.parquet")
        attributes = {}
        for role in ("items", "users"):
            if sources[role] is not None:
                ids, table, repeated = read_attributes(opened, sources[role], role, config)
                key = f"{role[:-1]}_id"
                rest = table.drop_columns([key]) if key in table.column_names else table
                pq.write_table(rest.add_column(0, key, ids), folder / f"{role}.parquet", compression="zstd")
                attributes[role] = {"rows": table.num_rows, "repeated": repeated}
        report = ImportReport(names, account.rows, account.accepted, account.rejects, [], account.notes, attributes)
    (folder / "import.json").write_text(json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def sample_path() -> Path:
    """The folder of the shipped sample: a year of a real gift-ware shop (events.parquet, items.parquet, users.parquet)."""
    return Path(str(resources.files("tastemaker.data"))) / "sample"


@contextmanager
def _opened(
    config: DataConfig, base: Path, given: Mapping[str, Any] | None, engine: Engine | None, sources: dict[str, Any]
) -> Iterator[tuple[Sources, Clean, Account, list[str]]]:
    """Opens and cleans the events; `sources` gains the items and users that lie in the same folder as the events."""
    events = sources["events"]
    if given and events is not None:
        raise ConfigError(
            "events and given files", expected="one of the two", hint="with split.kind = 'given' leave data.events out"
        )
    if given and (unknown := [side for side in given if side not in _SIDES]):
        raise ConfigError(f"side {unknown[0]!r}", expected="train, validation or test")
    if given is not None and "train" not in given:
        raise ConfigError("no train file", expected="train, and validation or test", hint="set split.train")
    if not given and (events is None or (isinstance(events, list | dict) and not len(events))):
        raise ConfigError("no value for 'data.events'", expected="a source of events", hint='such as events = "events.csv"')
    with Sources(engine or LocalEngine(config.memory_gb, config.threads), base) as opened:
        if given:
            parts = [
                Part(scan, side=_SIDES[side], kind=kind)
                for side in _SIDES
                if side in given
                for kind, source in _by_kind(given[side])
                for scan in opened.open(source)
            ]
        elif isinstance(events, dict) and all(isinstance(value, str | Path) for value in events.values()):
            parts = [Part(scan, kind=kind) for kind, source in _by_kind(events) for scan in opened.open(source)]
        else:
            several = events if isinstance(events, list | tuple) else [events]
            parts = [Part(scan) for source in several for scan in opened.open(source)]
            _beside(several, base, sources)
        account = Account()
        data = clean(parts, config, account)
        yield opened, data, account, [part.scan.name for part in parts]


def _by_kind(source: Any) -> list[tuple[str | None, Any]]:
    return [(str(kind), one) for kind, one in source.items()] if isinstance(source, dict) else [(None, source)]


def _beside(events: list[Any] | tuple[Any, ...], base: Path, sources: dict[str, Any]) -> None:
    """A folder with events.parquet brings its items.parquet and users.parquet along."""
    if len(events) == 1 and isinstance(events[0], str | Path) and "://" not in str(events[0]):
        folder = base / Path(events[0]).expanduser()
        for role in ("items", "users"):
            if sources[role] is None and folder.is_dir() and (folder / f"{role}.parquet").is_file():
                sources[role] = folder / f"{role}.parquet"


def _load(
    config: DataConfig, base: Path, given: Mapping[str, Any] | None, engine: Engine | None, sources: dict[str, Any]
) -> tuple[Dataset, ImportReport]:
    with _opened(config, base, given, engine, sources) as (opened, data, account, names):
        users, items, interactions = prepare(data, config, account)
        tables: dict[str, pa.Table] = {}
        attributes = {}
        for role, vocabulary in (("items", items), ("users", users)):
            if sources[role] is not None:
                if role == "users" and config.session_gap_minutes is not None:
                    raise ConfigError(
                        "users with session_gap_minutes", expected="one of the two", hint="sessions have no profile"
                    )
                ids, table, repeated = read_attributes(opened, sources[role], role, config)
                tables[role], attributes[role] = aligned(vocabulary, ids, table, repeated)
                if not attributes[role]["matched"]:
                    found = ", ".join(map(repr, ids[:3].to_pylist()))
                    wanted = ", ".join(map(repr, vocabulary.ids[:3].to_pylist()))
                    raise DataError(
                        f"no {role[:-1]} of the events among the {role} ({found}, …)", expected=f"ids such as {wanted}"
                    )
    dataset = Dataset(users, items, interactions, tables.get("items", pa.table({})), tables.get("users", pa.table({})))
    report = ImportReport(names, account.rows, account.accepted, account.rejects, account.steps, account.notes, attributes)
    return dataset, report


def _write_events(data: Clean, path: Path) -> None:
    table = data.table.order_by("position") if data.has_order else data.table
    columns = [
        "user",
        "item",
        *(
            name
            for name, has in (
                ("time", data.has_times),
                ("value", data.has_values),
                ("kind", data.has_kinds),
                ("review", data.has_reviews),
            )
            if has
        ),
    ]
    names = {"user": "user_id", "item": "item_id"}
    writer: pq.ParquetWriter | None = None
    try:
        for batch in batches(table.select(*columns)):
            rows = pa.Table.from_batches([batch]).rename_columns([names.get(name, name) for name in columns])
            if data.has_times:
                place = rows.column_names.index("time")
                rows = rows.set_column(place, "time", rows["time"].cast(pa.int64()).cast(pa.timestamp("us", "UTC")))
            writer = writer or pq.ParquetWriter(path, rows.schema, compression="zstd")
            writer.write_table(rows.cast(writer.schema))
    finally:
        if writer:
            writer.close()
