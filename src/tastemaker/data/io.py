"""Sources: files, database tables and frames, opened as Ibis tables. Nothing is converted here; `prepare` reads meaning into columns.

Text files are read once into DuckDB, every column as text; a row that cannot be read as a row is counted with its reason.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import importlib.util
import io
import json
import re
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import IO, Any, cast

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tastemaker.engine.base import Engine
from tastemaker.engine.local import LocalEngine
from tastemaker.errors import DataError, MissingExtraError, TastemakerError

POSITION = "tastemaker_position"
"""The column that numbers the rows of a source which has an order (files and frames; a database table has none)."""

_DELIMITERS = ("\t", ";", "|", "::", ",")
_TEXT = (".csv", ".tsv", ".dat", ".txt", ".data", ".inter", ".user", ".item")
_JSON = (".jsonl", ".ndjson", ".json")
_PARQUET = (".parquet", ".pq")
_names = count()


@dataclass(frozen=True)
class Reject:
    """Rows left out for one reason, and what one of them looks like."""

    reason: str
    rows: int
    example: str


@dataclass
class Scan:
    """A source opened for reading."""

    name: str
    """how reports call it; never holds a password"""
    backend: Any
    columns: dict[str, Any]
    """names and Ibis types"""
    read: Callable[[Sequence[str]], tuple[Any, list[Reject]]]
    """an Ibis table of the named columns, and POSITION where the source has an order"""
    text: bool = False
    """every column is text: whether ids are integers is for the rows to say"""
    notes: list[str] = field(default_factory=list)


class Sources:
    """Opens sources; a context manager, since connections and temporary files live as long as it does."""

    def __init__(self, engine: Engine | None = None, base: Path | None = None) -> None:
        self.engine = engine or LocalEngine()
        self.base = base or Path()
        self._stack = ExitStack()
        self._local: Any = None
        self._remote: dict[str, Any] = {}

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    @property
    def local(self) -> Any:
        """The engine's backend, which reads files and frames."""
        if self._local is None:
            self._local = self.engine.connect()
            self._stack.callback(self._local.disconnect)
        return self._local

    def open(self, source: Any, role: str = "events") -> list[Scan]:
        """Opens a path, pattern, folder, `URL#table` or frame; a pattern gives a scan per file, in the order of names.

        `role` is "events", "items" or "users": a folder written by `data import` holds a file of each.

        Raises:
            DataError: there is nothing there, or it cannot be read as what its name says.
        """
        if isinstance(source, str) and "://" in source:
            return [self._table(source)]
        if isinstance(source, str | Path):
            return [self._file(path) for path in self._paths(str(source), role)]
        return [self._frame(source, role)]

    def _paths(self, source: str, role: str) -> list[Path]:
        path = self.base / Path(source).expanduser()
        if path.is_dir():
            if (path / f"{role}.parquet").is_file():
                return [path / f"{role}.parquet"]
            inside = sorted(p.name for p in path.iterdir())
            raise DataError(
                f"the folder {source!r} ({', '.join(inside[:5]) or 'empty'})",
                expected=f"a file, or a folder with {role}.parquet",
                hint=f"name a file in it, or all of them: {source.rstrip('/')}/*.parquet",
            )
        if path.is_file():
            return [path]
        if any(mark in source for mark in "*?["):
            found = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor) if path.anchor else path)))
            if found:
                return found
        near = _nearest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else None
        hint = f"did you mean {near!r}?" if near else f"looked for {path}"
        raise DataError(f"no file {source!r}", expected=f"a source of {role}", hint=hint)

    def _file(self, path: Path) -> Scan:
        stem, suffix = path.name.lower(), path.suffix.lower()
        if suffix == ".gz":
            suffix = Path(stem[:-3]).suffix
        try:
            if path.stat().st_size == 0:
                raise DataError(f"{path.name!r} is empty", expected="a file with rows")
            if suffix in _PARQUET:
                return self._parquet(path)
            if suffix in _JSON:
                return self._json(path)
            if suffix in _TEXT:
                return self._csv(path)
        except (OSError, EOFError, UnicodeError) as error:
            raise DataError(
                f"{path.name!r} cannot be read: {error}", hint="the file may be cut or still being written"
            ) from None
        raise DataError(f"{path.name!r}", expected=f"a file ending in {', '.join(_TEXT[:4] + _JSON + _PARQUET[:1])}")

    def _parquet(self, path: Path) -> Scan:
        try:
            with pq.ParquetFile(path) as file:
                rows = file.metadata.num_rows
        except pa.ArrowException as error:
            message = str(error).split("\n")[0]
            hint = "the file may be cut in the middle; write or copy it again"
            raise DataError(f"{path.name!r} cannot be read: {message}", expected="a Parquet file", hint=hint) from None
        if rows == 0:
            raise DataError(f"{path.name!r} has no rows", expected="a file with rows")
        backend = self.local
        with reading(path.name):
            table = backend.read_parquet(str(path), file_row_number=True).rename({POSITION: "file_row_number"})

        def read(names: Sequence[str]) -> tuple[Any, list[Reject]]:
            return table.select(*names, POSITION), []

        return Scan(path.name, self.local, {n: t for n, t in table.schema().items() if n != POSITION}, read)

    def _csv(self, path: Path) -> Scan:
        clean, notes = self._utf8(path)
        delimiter, header, names = _sniff(clean, path.name)
        if not header:
            notes.append(f"no header line: columns are {', '.join(names)}")
        if delimiter != ",":
            notes.append(f"columns are separated by {delimiter!r}")

        def read(wanted: Sequence[str]) -> tuple[Any, list[Reject]]:
            columns = ", ".join(f"nullif(trim({_quote(name)}), '') as {_quote(name)}" for name in wanted)
            table, rejects = self._load_csv(clean, path.name, delimiter, names, columns, header=header)
            return table, rejects

        return Scan(path.name, self.local, dict.fromkeys(names, ibis.dtype("string")), read, text=True, notes=notes)

    def _json(self, path: Path) -> Scan:
        clean, notes = self._utf8(path)
        shapes: dict[str, str] = {}
        with clean.open(encoding="utf-8-sig") as lines:
            for line in islice(lines, 1000):
                with contextlib.suppress(ValueError):
                    row = json.loads(line)
                    for key, value in row.items() if isinstance(row, dict) else ():
                        shapes[key] = "list" if isinstance(value, list) or shapes.get(key) == "list" else "text"
        if not shapes:
            raise DataError(f"{path.name!r} holds no JSON objects", expected='one JSON object a line: {"user": 1, "item": 2}')

        def read(wanted: Sequence[str]) -> tuple[Any, list[Reject]]:
            raw, _ = self._load_csv(clean, path.name, "\x01", ["line"], "line", header=False, quoted=False)
            name, table = raw.op().name, f"json_{next(_names)}"
            good = "case when json_valid(line) then json_type(line) = 'OBJECT' else false end"
            picks = []
            for key in wanted:
                place = "'$.\"" + key.replace("'", "''").replace('"', '\\"') + "\"'"
                cell = f"nullif(trim(json_extract_string(line, {place})), '')"
                if shapes[key] == "list":
                    cell = f"try_cast(json_extract(line, {place}) as varchar[])"
                picks.append(f"{cell} as {_quote(key)}")
            with reading(path.name):
                run = self.local.raw_sql
                # CASE, not WHERE: an engine may extract before it filters, and a torn line cannot be extracted from.
                run(
                    f"create temp table {table} as select {', '.join(picks)}, {POSITION} "
                    f"from (select case when {good} then line end as line, {POSITION} from {_quote(name)} where trim(line) <> '') "
                    "where line is not null"
                )
                ((bad, example),) = run(
                    f"select count(*), arg_min(line, {POSITION}) from {_quote(name)} where trim(line) <> '' and not ({good})"
                ).fetchall()
                run(f"drop table {_quote(name)}")
            rejects = [Reject("not a JSON object", bad, _short(example))] if bad else []
            return self.local.table(table), rejects

        types = {"text": ibis.dtype("string"), "list": ibis.dtype("array<string>")}
        return Scan(path.name, self.local, {k: types[s] for k, s in shapes.items()}, read, text=True, notes=notes)

    def _load_csv(
        self, path: Path, name: str, delimiter: str, names: list[str], columns: str, *, header: bool, quoted: bool = True
    ) -> tuple[Any, list[Reject]]:
        run, table = self.local.raw_sql, f"text_{next(_names)}"
        kinds = ", ".join(f"{_text(column)}: 'VARCHAR'" for column in names)
        quote = "'\"'" if quoted else "''"
        with reading(name):
            run(
                f"create temp table {table} as select {columns}, row_number() over () - 1 as {POSITION} from read_csv("
                f"{_text(str(path))}, auto_detect = false, header = {str(header).lower()}, delim = {_text(delimiter)}, "
                f"quote = {quote}, escape = {quote}, columns = {{{kinds}}}, nullstr = '', ignore_errors = true, strict_mode = true, "
                f"store_rejects = true, rejects_table = '{table}_bad', rejects_scan = '{table}_scan', rejects_limit = 0, "
                "max_line_size = 16000000)"
            )
            bad = run(
                f"select kind, count(*), arg_min(text, line) from (select line, min(error_type::varchar) as kind, "
                f"any_value(csv_line) as text from {table}_bad group by line) group by kind order by kind"
            ).fetchall()
            run(f"drop table {table}_bad")
            run(f"drop table {table}_scan")
        return self.local.table(table), [Reject(_CSV_REASONS.get(k, k.lower()), n, _short(text)) for k, n, text in bad]

    def _utf8(self, path: Path) -> tuple[Path, list[str]]:
        """The file as plain UTF-8 text with single newlines: itself where it is that already, else a temporary copy."""
        packed = path.suffix.lower() == ".gz"

        def opener() -> IO[bytes]:
            return cast(IO[bytes], gzip.open(path, "rb") if packed else path.open("rb"))

        with opener() as file:
            start = file.read(4)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            copy = self._temporary()
            with io.TextIOWrapper(opener(), encoding="utf-16") as source, copy.open("w", encoding="utf-8") as text:
                text.writelines(source)
            return copy, ["encoding: UTF-16"]
        with opener() as file:
            plain = all(_is_utf8_line_block(block) for block in _line_blocks(file))
        if plain and not packed and start[:3] != b"\xef\xbb\xbf":
            return path, []
        copy, odd = self._temporary(), 0
        with opener() as file, copy.open("wb") as target:
            if start[:3] == b"\xef\xbb\xbf":
                file.seek(3)
            for block in _line_blocks(file):
                if _is_utf8_line_block(block):
                    target.write(block)
                    continue
                for line in block.splitlines(keepends=True):
                    try:
                        line.decode("utf-8")
                    except UnicodeDecodeError:
                        odd += 1
                        line = line.decode("latin-1").encode("utf-8")
                    target.write(line.replace(b"\r\n", b"\n").replace(b"\0", b""))
        return copy, [f"encoding: {odd} lines are not UTF-8 and were read as Latin-1"] if odd else []

    def _temporary(self) -> Path:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tastemaker-"))
        return Path(folder) / "text"

    def _frame(self, frame: Any, role: str) -> Scan:
        table = as_arrow(frame, role)
        if table.num_rows == 0:
            raise DataError(f"{role} without rows", expected="at least one row")
        table = table.append_column(POSITION, pa.array(np.arange(table.num_rows, dtype=np.int64)))
        return self.registered(table, f"the {role} given")

    def registered(self, table: pa.Table, name: str) -> Scan:
        """An Arrow table as a scan."""
        key = f"frame_{next(_names)}"
        with reading(name):
            self.local.con.register(key, table)
            bound = self.local.table(key)

        def read(names: Sequence[str]) -> tuple[Any, list[Reject]]:
            return bound.select(*names, *([POSITION] if POSITION in bound.columns else [])), []

        return Scan(name, self.local, {n: t for n, t in bound.schema().items() if n != POSITION}, read)

    def _table(self, source: str) -> Scan:
        url, _, name = source.partition("#")
        shown = re.sub(r"://([^/@]*)@", lambda match: f"://{match[1].split(':')[0]}@", url)
        if not name:
            hint = f"append #TABLE: {shown}#events"
            raise DataError(f"no table in {shown!r}", expected="URL#table", hint=hint)
        scheme = url.partition("://")[0]
        if scheme == "sqlite":
            return self.registered(_sqlite(self.base / url.removeprefix("sqlite:///"), name), f"{shown}#{name}")
        backend = self._remote.get(url) or self._connect(url, scheme, shown)
        self._remote[url] = backend
        *schema, leaf = name.split(".")
        try:
            table = backend.table(leaf, database=".".join(schema) or None)
        except Exception:
            try:
                known = backend.list_tables()
            except Exception:
                known = []
            near = _nearest(leaf, known)
            hint = f"did you mean {near!r}?" if near else f"tables there: {', '.join(known[:8]) or 'none'}"
            raise DataError(f"no table {name!r} in {shown}", hint=hint) from None

        def read(names: Sequence[str]) -> tuple[Any, list[Reject]]:
            return table.select(*names), []

        return Scan(f"{shown}#{name}", table.get_backend(), dict(table.schema().items()), read)

    def _connect(self, url: str, scheme: str, shown: str) -> Any:
        if scheme in ("postgres", "postgresql"):
            if importlib.util.find_spec("psycopg") is None:
                raise MissingExtraError("psycopg", "postgres", "reading PostgreSQL tables")
            url = "postgres" + url[len(scheme) :]
        try:
            if scheme == "duckdb":
                path = self.base / url.removeprefix("duckdb:///")
                if not path.is_file():
                    raise DataError(
                        f"no file {str(path)!r}", expected="a DuckDB database", hint="duckdb:///relative/path.db#table"
                    )
                # Opened beside the local one, so that its tables are worked on under the same memory limit.
                alias = f"base_{next(_names)}"
                self.local.raw_sql(f"attach {_text(str(path))} as {alias} (read_only)")
                return _Attached(self.local, alias)
            backend = ibis.connect(url)
        except TastemakerError:
            raise
        except (ImportError, ModuleNotFoundError) as error:
            raise MissingExtraError(str(error.name or scheme), "postgres", f"reading {shown}") from None
        except Exception as error:
            message = " ".join(str(error).split())
            hint = "schemes: postgresql, duckdb, sqlite, and those of Ibis"
            raise DataError(f"cannot open {shown}: {message}", expected="a reachable database", hint=hint) from None
        self._stack.callback(backend.disconnect)
        return backend


class _Attached:
    """A DuckDB file attached to the local backend: tables are looked up in it, all else is the local backend's."""

    def __init__(self, backend: Any, alias: str) -> None:
        self._backend, self._alias = backend, alias

    def table(self, name: str, database: str | None = None) -> Any:
        return self._backend.table(name, database=(self._alias, database or "main"))

    def list_tables(self) -> list[str]:
        return self._backend.list_tables(database=(self._alias, "main"))


_CSV_REASONS = {
    "MISSING COLUMNS": "too few columns in the line",
    "TOO MANY COLUMNS": "too many columns in the line",
    "UNQUOTED VALUE": "a quote that does not close",
    "LINE SIZE OVER MAXIMUM": "a line longer than 16 MB",
    "INVALID ENCODING": "not readable as text",
    "INVALID STATE": "a quote in the wrong place",
}


def keep(backend: Any, table: Any) -> Any:
    """The table's rows as a temporary table of its engine."""
    return backend.create_table(f"tastemaker_{next(_names)}", obj=table, temp=True)


def drop(backend: Any, table: Any) -> None:
    """Frees what `keep` kept."""
    cursor = backend.raw_sql(f'DROP TABLE "{table.op().name}"')
    if backend.name != "duckdb":
        cursor.close()


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns what a database says about data it cannot read into a DataError that names the source."""
    try:
        yield
    except TastemakerError:
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("duckdb", "_duckdb", "psycopg", "ibis", "pyarrow")):
            raise
        message = str(error).strip().split("\n")[0]
        raise DataError(f"{name} cannot be read: {message}", hint="the source may be damaged or cut in the middle") from None


def as_arrow(frame: Any, role: str = "events") -> pa.Table:
    """A pandas, polars or pyarrow frame (or columns in a dict) as Arrow. Text and numbers mixed in a column become text."""
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, dict):
        return pa.table({name: _array(values) for name, values in frame.items()})
    if hasattr(frame, "to_numpy") and hasattr(frame, "dtypes") and hasattr(frame, "items"):  # pandas
        return pa.table({str(name): _array(column) for name, column in frame.items()})
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    raise DataError(
        f"{role} of type {type(frame).__name__}",
        expected="a path, a URL#table, or a frame of pandas, polars or pyarrow",
    )


def _array(values: Any) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True) if not isinstance(values, list) else pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None or value != value else str(value) for value in values])


def _sqlite(path: Path, name: str) -> pa.Table:
    """A whole SQLite table; columns that mix types become text."""
    if not path.is_file():
        raise DataError(f"no file {str(path)!r}", expected="a SQLite database", hint="sqlite:///relative/path.db#table")
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            known = [row[0] for row in connection.execute("select name from sqlite_master where type in ('table', 'view')")]
            if name not in known:
                near = _nearest(name, known)
                hint = f"did you mean {near!r}?" if near else f"tables there: {', '.join(known[:8]) or 'none'}"
                raise DataError(f"no table {name!r} in {path.name!r}", hint=hint)
            cursor = connection.execute(f"select * from {_quote(name)}")
            names = [column[0] for column in cursor.description]
            batches = []
            while rows := cursor.fetchmany(100_000):
                batches.append(pa.table({n: _array(list(v)) for n, v in zip(names, zip(*rows, strict=True), strict=True)}))
    except sqlite3.Error as error:
        raise DataError(f"{path.name!r} cannot be read: {error}", expected="a SQLite database") from None
    if not batches:
        raise DataError(f"the table {name!r} has no rows", expected="a table with rows")
    try:
        return pa.concat_tables(batches, promote_options="permissive")
    except pa.ArrowException:
        return pa.concat_tables([pa.table([c.cast(pa.string()) for c in t.columns], names=names) for t in batches])


def _sniff(path: Path, name: str) -> tuple[str, bool, list[str]]:
    """Delimiter, whether the first line is a header, and the column names of a text file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        start = file.read(1 << 16)
    complete = len(start) < 1 << 16
    best: tuple[float, int, str, list[list[str]]] = (-1.0, 0, ",", [])
    for delimiter in _DELIMITERS:
        rows = _records(start, delimiter, complete=complete)[:200]
        if not rows:
            continue
        width, times = Counter(len(row) for row in rows).most_common(1)[0]
        if width > 1 and (times / len(rows), width) > best[:2]:
            best = (times / len(rows), width, delimiter, rows)
    _, _, delimiter, rows = best
    rows = rows or _records(start, ",", complete=complete)
    if not rows:
        raise DataError(f"{name!r} holds no lines", expected="a file with rows")
    first = [cell.strip() for cell in rows[0]]
    if any(_is_number(cell) for cell in first) and not _stands_out(rows):
        return delimiter, False, [f"column{place}" for place in range(len(first))]
    names: list[str] = []
    for place, cell in enumerate(first):
        cell = cell or f"column{place}"
        names.append(cell if cell not in names else f"{cell}_{place}")
    if len(rows) == 1:
        raise DataError(f"{name!r} has a header line and no rows", expected="a file with rows")
    return delimiter, True, names


def _stands_out(rows: list[list[str]]) -> bool:
    """Whether the first line has a word above a column of nothing but numbers: then it is a header, numbers among its names or not."""
    for place, cell in enumerate(rows[0]):
        below = [row[place] for row in rows[1:] if len(row) == len(rows[0]) and row[place].strip()]
        if cell.strip() and not _is_number(cell) and below and all(map(_is_number, below)):
            return True
    return False


def _records(text: str, delimiter: str, *, complete: bool) -> list[list[str]]:
    try:
        if len(delimiter) > 1:
            rows = [line.split(delimiter) for line in text.splitlines()]
        else:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error:
        return []
    rows = rows if complete else rows[:-1] or rows
    return [row for row in rows if any(cell.strip() for cell in row)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _line_blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Blocks of whole lines of about 16 MB."""
    while block := file.read(1 << 24):
        yield block + file.readline()


def _is_utf8_line_block(block: bytes) -> bool:
    """UTF-8, no carriage returns, no zero bytes: what DuckDB reads without a thought."""
    if b"\r" in block or b"\0" in block:
        return False
    try:
        block.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _nearest(name: str, known: Sequence[str]) -> str | None:
    import difflib

    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return found[0] if found else None


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _short(text: str | None) -> str:
    text = (text or "").strip("\r\n")
    return text if len(text) <= 120 else text[:117] + "…"
