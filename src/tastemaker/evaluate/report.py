"""Report: everything a judgement found, with each user's own values so that two reports can be paired later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Group
from rich.table import Table

from tastemaker.errors import DataError

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Report:
    """How good the lists, or predicted ratings, of one model were on one side of a split."""

    metrics: dict[str, float]
    """Such as "ndcg@10": mean over the users asked; "rmse" and "mae": over rows"""
    intervals: dict[str, tuple[float, float]]
    """Bootstrap interval of each metric: users are resampled; empty where no resamples were asked for"""
    per_user: dict[str, np.ndarray]
    """float64 (users asked,) for each metric"""
    users: np.ndarray
    """int64 (users asked,): the codes the rows of `per_user` belong to"""
    segments: dict[str, dict[str, float]] = field(default_factory=dict)
    """"users/new", "users/light", "users/heavy", "items/head", "items/tail", "items/cold" -> "count" and metrics; see `evaluator`"""
    beyond: dict[str, float] = field(default_factory=dict)
    """Such as "coverage@10"; see `beyond`"""
    counts: dict[str, int] = field(default_factory=dict)
    """How many users, targets and items were in play; see `evaluator`"""
    confidence: float = 0.95
    judged_on: str = ""
    """sha256 of users and targets: reports can be compared where it is equal"""
    parts: Mapping[str, Report] = field(default_factory=dict)
    """"items/cold", "users/new", …: the questions by how much was known of the item or the user; see `coldness`"""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without `per_user` and `users`."""
        parts = {name: part.to_dict() for name, part in self.parts.items()}
        return {
            "format": _FORMAT,
            "metrics": dict(self.metrics),
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "confidence": self.confidence,
            "segments": {name: dict(values) for name, values in self.segments.items()},
            "beyond": dict(self.beyond),
            "counts": dict(self.counts),
            "judged_on": self.judged_on,
            **({"parts": parts} if parts else {}),
        }

    @classmethod
    def from_dict(
        cls, values: dict[str, Any], users: np.ndarray | None = None, per_user: dict[str, np.ndarray] | None = None
    ) -> Report:
        """The inverse of `to_dict`; without `users` and `per_user` it can be shown but not paired.

        Raises:
            DataError: this is no report, or one of a newer version.
        """
        if not isinstance(values, dict) or not isinstance(values.get("format"), int):
            raise DataError("no report in these values", expected="what `to_dict` gives")
        if values["format"] > _FORMAT:
            raise DataError(f"report format {values['format']}", expected=f"format ≤ {_FORMAT}", hint="update tastemaker")
        try:
            return cls(
                metrics=dict(values["metrics"]),
                intervals={name: (low, high) for name, (low, high) in values["intervals"].items()},
                per_user=per_user or {},
                users=np.zeros(0, np.int64) if users is None else users,
                segments={name: dict(inner) for name, inner in values["segments"].items()},
                beyond=dict(values["beyond"]),
                counts=dict(values["counts"]),
                confidence=values["confidence"],
                judged_on=values["judged_on"],
                parts={name: cls.from_dict(inner) for name, inner in values.get("parts", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"a damaged report ({error})", expected="what `to_dict` gives") from None

    def save(self, folder: Path | str, name: str = "report") -> Path:
        """Writes `name.json` and, with the values of each user, `name.arrow`; returns the folder (made if missing).

        Parts are saved in the same way in the folder `name`.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        table = pa.table({"user": self.users, **self.per_user})
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        for part, report in self.parts.items():
            report.save(folder / name / _file(part)[0], _file(part)[1])
        return folder

    @classmethod
    def load(cls, folder: Path | str, name: str = "report") -> Report:
        """Reads what `save` wrote.

        Raises:
            DataError: a file is missing, damaged or of a newer version.
        """
        folder = Path(folder)
        try:
            values = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            with pa.OSFile(str(folder / f"{name}.arrow"), "rb") as source:
                table = pa.ipc.open_file(source).read_all()
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"no report {name!r} in {str(folder)!r}", expected=f"{name}.json and {name}.arrow") from None
        except (ValueError, pa.ArrowInvalid) as error:
            raise DataError(f"a damaged report {name!r} in {str(folder)!r}: {error}", hint="evaluate again") from None
        if not isinstance(values, dict):
            raise DataError(f"{name}.json in {str(folder)!r} holds no report", hint="evaluate again")
        columns = {column: table[column].to_numpy() for column in table.column_names}
        users = columns.pop("user", None)
        if users is None or set(columns) != set(values.get("metrics", ())):
            raise DataError(f"{name}.json and {name}.arrow in {str(folder)!r} do not belong together", hint="evaluate again")
        parts = {part: cls.load(folder / name / _file(part)[0], _file(part)[1]) for part in values.get("parts", {})}
        return replace(cls.from_dict(values, users, columns), parts=parts)

    def __rich__(self) -> Group:
        """Tables for the terminal: metrics with intervals, segments, parts by coldness, beyond accuracy, counts."""
        tables = (self._metrics(), self._segments(), self._parts(), self._beyond(), self._counts())
        return Group(*(table for table in tables if table.row_count))

    def _metrics(self) -> Table:
        table = _table("metric", "value", *([f"{self.confidence:.0%} interval"] if self.intervals else []))
        for name, value in self.metrics.items():
            bounds = [f"{low:.4f} … {high:.4f}" for low, high in [self.intervals[name]]] if name in self.intervals else []
            table.add_row(name, f"{value:.4f}", *bounds)
        return table

    def _segments(self) -> Table:
        table = _table("by segment", *(name.partition("/")[2] for name in self.segments))
        if self.segments:
            kinds = ("users" if name.startswith("users/") else "targets" for name in self.segments)
            heads = zip(self.segments.values(), kinds, strict=True)
            table.add_row("", *(f"{values['count']:,.0f} {kind}" for values, kind in heads), end_section=True)
        for name in self.metrics:
            cells = [f"{values[name]:.4f}" if name in values else "" for values in self.segments.values()]
            if any(cells):
                table.add_row(name, *cells)
        return table

    def _parts(self) -> Table:
        shown = headlines(self.metrics)
        table = _table("by coldness", "users", "targets", *(column for name in shown for column in (name, "interval")))
        for name, part in self.parts.items():
            cells = []
            for metric in shown:
                bounds = part.intervals.get(metric)
                cells += [f"{part.metrics[metric]:.4f}", "" if bounds is None else f"{bounds[0]:.4f} … {bounds[1]:.4f}"]
            table.add_row(name, f"{part.counts['users_asked']:,}", f"{part.counts['targets']:,}", *cells)
        return table

    def _beyond(self) -> Table:
        cuts = list(dict.fromkeys(name.partition("@")[2] for name in self.beyond))
        table = _table("beyond accuracy", *(f"@{cut}" for cut in cuts))
        for base in dict.fromkeys(name.partition("@")[0] for name in self.beyond):
            values = [self.beyond.get(f"{base}@{cut}") for cut in cuts]
            table.add_row(base.replace("_", " "), *("" if value is None else f"{value:.4g}" for value in values))
        return table

    def _counts(self) -> Table:
        table = _table("counts", "")
        for name, value in self.counts.items():
            table.add_row(name.replace("_", " "), f"{value:,}")
        return table


def headlines(metrics: Iterable[str]) -> list[str]:
    """The metrics that stand for all where there is room for two: the first ndcg and the recall of the longest lists, or the first two."""
    names = list(metrics)
    gains = [name for name in names if name.startswith("ndcg@")]
    recalls = sorted((name for name in names if name.startswith("recall@")), key=lambda name: int(name.partition("@")[2]))
    return gains[:1] + recalls[-1:] or names[:2]


def _file(part: str) -> tuple[str, str]:
    """Folder and name of a part's files; parts are named by this package, as in "items/cold"."""
    folder, _, name = part.rpartition("/")
    return folder, name


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=box.SIMPLE_HEAD, pad_edge=False)
    for name in others:
        table.add_column(name, justify="right")
    return table
