"""Runs: what the ledger and the versions tell of trainings that were judged.

```
$TASTEMAKER_RUNS/ledger.db ── rows ──▶ a page of runs ◀── rows ── versions whose run is not in that ledger
RUN/report.json, reports/ ──▶ a report, a comparison ◀── NAME/3.course/report.json, reports/
```

The folder of a run is read where it is there; else the course of the version that came of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from tastemaker.errors import RequestError, UserError
from tastemaker.serve import course
from tastemaker.store.base import ModelVersion
from tastemaker.store.codec import from_cursor, to_cursor
from tastemaker.wire.bodies import ModelName
from tastemaker.wire.runs import Figure, RunReport, RunRow, RunsCompared, RunsReply, Segment, Status

if TYPE_CHECKING:
    from tastemaker.evaluate.significance import Comparison
    from tastemaker.experiment.ledger import Run
    from tastemaker.experiment.result import RunResult
    from tastemaker.serve.registry import Registry

FEW = 100
"""Users or targets below which a segment is said to be small."""
_MOST_LOOKED_AT = 2000
_JUDGED = ("kind", "split", "metrics", "ks", "filter_seen", "new_users", "items_ranked", "ranked_among")
_WORDS = {
    "leave_last": "the last event of each user is withheld",
    "by_time": "what happened after a moment is withheld",
    "by_share": "a share of each user's events is withheld",
    "by_user": "some users are withheld whole",
    "random": "a random share of the events is withheld",
    "cold_items": "some items are withheld whole",
}


@dataclass(frozen=True)
class Runs:
    """The runs that a service knows of: a ledger's folder and its versions; either may be None."""

    folder: Path | None
    registry: Registry | None

    def page(self, model: str | None, status: str | None, tuning: str | None, cursor: str | None, limit: int) -> RunsReply:
        """A page, newest first. Raises RequestError (400) for a cursor that is none."""
        after = None if cursor is None else tuple(from_cursor(cursor, float, str))
        made, current = self._made()
        own = [_of_version(one, current) for run_id, ones in made.items() for one in ones[:1] if not self._entered(run_id)]
        own = [row for row in own if tuning is None and (model is None or row.model == model)]
        own = [row for row in own if after is None or (row.started, row.run_id) < after]
        own = [row for row in own if status in (None, row.status)]
        rows: list[RunRow] = []
        place, more = after, self.folder is not None
        looked = 0
        while more and len(rows) <= limit and looked < _MOST_LOOKED_AT:
            found = self._ledger().page(limit + 1, after=place, model=model, tuning=tuning)
            looked += len(found)
            rows += [_of_run(one, made.get(one.id, []), current) for one in found if status in (None, one.status)]
            more = len(found) > limit
            if found:
                place = (found[-1].started, found[-1].id)
        if more and place:  # older ones come with later pages
            own = [row for row in own if (row.started, row.run_id) > place]
        rows = sorted([*rows, *own], key=lambda row: (row.started, row.run_id), reverse=True)
        shown = rows[:limit]
        if len(rows) > limit:
            return RunsReply(runs=shown, next_cursor=to_cursor(float(shown[-1].started), shown[-1].run_id))
        return RunsReply(runs=shown, next_cursor=to_cursor(float(place[0]), place[1]) if more and place else None)

    def report(self, run_id: str) -> RunReport:
        """What a run found. Raises RequestError (404) where it is not known."""
        row, folder, versions = self._find(run_id)
        return _report(row, None if folder is None else _result(folder), versions)

    def compare(self, run_ids: list[str]) -> RunsCompared:
        """Sets runs side by side where they were judged alike, else says why not. Raises RequestError (404, 409, 422)."""
        if len(set(run_ids)) < len(run_ids):
            raise RequestError("a run twice", code="same_run", expected="different runs")
        folders = {}
        for run_id in run_ids:
            _, folder, _ = self._find(run_id)
            if folder is None:
                raise RequestError(
                    f"no report of {run_id!r}", code="no_report", status=409, expected="finished runs whose files are here"
                )
            folders[run_id] = folder
        return _compared(tuple((run_id, folder, _changed(folder)) for run_id, folder in folders.items()))

    def _ledger(self) -> Any:
        from tastemaker.experiment.ledger import Ledger

        return Ledger(self.folder)

    def _entered(self, run_id: str) -> bool:
        return self.folder is not None and self._ledger().get(run_id) is not None

    def _made(self) -> tuple[dict[str, list[ModelVersion]], ModelVersion | None]:
        """The versions by the run they came of, or by a name of their own, and the one in use."""
        made: dict[str, list[ModelVersion]] = {}
        if self.registry is None:
            return made, None
        for one in self.registry.store.models():
            made.setdefault(_run_id(one), []).append(one)
        for ones in made.values():  # a baseline of the run may be a version too: the run's own model first
            ones.sort(key=lambda one: not (course.place(one.path) / course.REPORT).is_file())
        return made, self.registry.current()

    def _find(self, run_id: str) -> tuple[RunRow, Path | None, list[ModelVersion]]:
        """A run's row, the folder of its report, and the versions that came of it."""
        made, current = self._made()
        versions = made.get(run_id, [])
        run = None if self.folder is None else self._ledger().get(run_id)
        if run is None and not versions:
            raise RequestError(f"no run {run_id!r}", code="unknown_run", status=404, hint="GET /v1/runs lists them")
        row = _of_version(versions[0], current) if run is None else _of_run(run, versions, current)
        places = [*([] if run is None else [run.folder]), *(course.place(one.path) for one in versions)]
        folder = next((one for one in places if (one / course.REPORT).is_file()), None)
        return row, folder, versions


def _run_id(version: ModelVersion) -> str:
    run = version.facts.get("run") or (course.report(version.path) or {}).get("run")
    return str(run) if run else f"{version.name}@{version.version}"


def _names(versions: Iterable[ModelVersion]) -> list[ModelName]:
    return [ModelName(name=one.name, version=one.version) for one in versions]


def _in_use(versions: Iterable[ModelVersion], current: ModelVersion | None) -> bool:
    return current is not None and any((one.name, one.version) == (current.name, current.version) for one in versions)


def _of_run(run: Run, versions: list[ModelVersion], current: ModelVersion | None) -> RunRow:
    return RunRow(
        run_id=run.id,
        model=run.model,
        status=cast("Status", run.status),
        started=run.started,
        metrics=run.test,
        epochs=run.epochs,
        train_seconds=run.train_seconds,
        error=run.error,
        tuning=run.tuning,
        versions=_names(versions),
        in_use=_in_use(versions, current),
        told="report"
        if any((place / course.REPORT).is_file() for place in (run.folder, *(course.place(one.path) for one in versions)))
        else "nothing",
    )


def _of_version(version: ModelVersion, current: ModelVersion | None) -> RunRow:
    told = course.report(version.path) or {}
    facts = version.facts
    metrics = told.get("test", {}).get("metrics") or _plain(facts.get("metrics") or {})
    return RunRow(
        run_id=_run_id(version),
        model=str(told.get("model") or facts.get("model") or version.name),
        status="finished",
        started=version.created / 1e6,
        metrics=metrics,
        epochs=told.get("epochs", facts.get("epochs")),
        train_seconds=told.get("train_seconds", facts.get("train_seconds")),
        error="",
        tuning="",
        versions=_names([version]),
        in_use=_in_use([version], current),
        told="report" if told else "manifest" if metrics else "nothing",
    )


def _plain(metrics: dict[str, Any]) -> dict[str, float]:
    """The test metrics among those of a manifest, which may hold them by side."""
    inner = metrics.get("test", metrics)
    inner = inner.get("metrics", inner) if isinstance(inner, dict) else {}
    return {str(name): float(value) for name, value in inner.items() if isinstance(value, int | float)}


def _changed(folder: Path) -> int:
    return (folder / course.REPORT).stat().st_mtime_ns


def _result(folder: Path) -> RunResult:
    return _read(folder, _changed(folder))


@lru_cache(maxsize=16)
def _read(folder: Path, changed: int) -> RunResult:  # `changed` is part of the key
    from tastemaker.experiment.result import RunResult

    try:
        return RunResult.read(folder)
    except UserError as error:
        raise RequestError(str(error), code="damaged_report", status=409) from None


def _report(row: RunRow, result: RunResult | None, versions: list[ModelVersion]) -> RunReport:
    told = {} if result is None else result.report
    test, rivals = told.get("test") or {}, told.get("baselines") or {}
    sides = {row.model: test, **{_beside(name, row.model): one["test"] for name, one in rivals.items()}}
    comparison = told.get("comparison") or {}
    figures = _figures(sides, comparison, row.model)
    if result is None:
        metrics = _plain(versions[0].facts.get("metrics") or {}) if versions else {}
        figures = _figures({row.model: {"metrics": metrics}}, {}, row.model)
    models = {f"{one.name}/{one.version}": str(one.facts.get("model") or one.name) for one in versions}
    of = {version: model if model == row.model else _beside(model, row.model) for version, model in models.items()}
    segments = [
        *_segments(sides, row.model),
        *(_part(name, sides, comparison, row.model) for name in test.get("parts", {})),
    ]
    validation = told.get("validation") or {}
    fields = {name: getattr(row, name) for name in RunRow.__struct_fields__}
    return RunReport(
        **fields,
        protocol=_sentences(told),
        data=told.get("data", {}).get("fingerprint"),
        users_asked=test.get("counts", {}).get("users_asked"),
        confidence=test.get("confidence"),
        test=comparison.get("test"),
        figures=figures,
        segments=segments,
        beyond={name: side["beyond"] for name, side in sides.items() if side.get("beyond")},
        figures_of={version: name for version, name in of.items() if any(one.name == name for one in figures)},
        baselines={_beside(name, row.model): one.get("settings", {}) for name, one in rivals.items()},
        settings=told.get("settings", {}),
        chosen_by=told.get("protocol", {}).get("chosen_by"),
        validation=validation.get("metrics", {}),
        counts=test.get("counts", {}),
        notes=told.get("notes", []),
        peak_memory_mb=told.get("peak_memory_mb"),
    )


def _beside(name: str, model: str) -> str:
    return name if name != model else f"{name} (baseline)"


def _figures(sides: dict[str, Any], comparison: dict[str, Any], model: str) -> list[Figure]:
    found = []
    for metric in sides[model].get("metrics", {}):
        for name, side in sides.items():
            if side.get("metrics", {}).get(metric) is None:
                continue
            tested = comparison.get("metrics", {}).get(metric, {})
            of = tested.get(name) or tested.get(f"{name} (baseline)") or {}
            low, high = side.get("intervals", {}).get(metric, (None, None))
            found.append(
                _figure(metric, name, "model" if name == model else "baseline", side["metrics"][metric], low, high, of)
            )
    return found


def _figure(
    metric: str, name: str, role: Any, value: float, low: float | None, high: float | None, of: dict[str, Any]
) -> Figure:
    tested = of.get("p_holm") is not None
    bounds = of.get("difference_interval") or (None, None)
    return Figure(
        metric=metric,
        name=name,
        role=role,
        value=value,
        low=low,
        high=high,
        difference=of.get("difference") if tested else None,
        difference_low=bounds[0],
        difference_high=bounds[1],
        p=of.get("p_holm"),
        verdict=(of.get("verdict") or "same") if tested else None,
    )


def _segments(sides: dict[str, Any], model: str) -> list[Segment]:
    found = []
    for name, values in sides[model].get("segments", {}).items():
        inner = {
            who: {"metrics": {key: value for key, value in side.get("segments", {}).get(name, {}).items() if key != "count"}}
            for who, side in sides.items()
        }
        count = int(values["count"])
        of: Literal["users", "targets"] = "users" if name.startswith("users/") else "targets"
        found.append(Segment(name=name, of=of, count=count, few=count < FEW, figures=_figures(inner, {}, model)))
    return found


def _part(name: str, sides: dict[str, Any], comparison: dict[str, Any], model: str) -> Segment:
    inner = {who: side.get("parts", {}).get(name, {}) for who, side in sides.items()}
    count = int(inner[model]["counts"]["users_asked"])
    tested = comparison.get("parts", {}).get(name, {})
    return Segment(name=f"coldness: {name}", of="users", count=count, few=count < FEW, figures=_figures(inner, tested, model))


def _sentences(told: dict[str, Any]) -> list[str]:
    """The protocol, for people."""
    protocol = told.get("protocol") or {}
    split, judged = protocol.get("split") or {}, protocol.get("evaluate") or {}
    said = []
    if kind := split.get("kind"):
        share = f" ({split['test_share']:.0%} of the events)" if split.get("test_share") else ""
        said.append(
            f"Split {kind}: {_WORDS.get(kind, 'a part of the events is withheld')}{share}; the model learned from the rest."
        )
    if protocol.get("test_users") is not None:
        asked = (told.get("test") or {}).get("counts", {}).get("users_asked")
        some = "" if asked in (None, protocol["test_users"]) else f", of whom {asked:,} could be asked"
        said.append(f"The test side has {protocol['test_users']:,} users{some}.")
    if protocol.get("items_ranked"):
        among = protocol.get("ranked_among")
        said.append(f"Ranked among {among}." if among else f"All {protocol['items_ranked']:,} items were ranked, none sampled.")
    if "filter_seen" in judged:
        said.append(
            "What a user had already is left out of the lists."
            if judged["filter_seen"]
            else "Lists may hold what a user had already."
        )
    if judged.get("new_users") == "exclude":
        said.append("Users without a history were not asked.")
    if judged.get("bootstrap"):
        said.append(f"Intervals ({judged['confidence']:.0%}) are from {judged['bootstrap']:,} resamples of the users.")
    return said


@lru_cache(maxsize=32)
def _compared(runs: tuple[tuple[str, Path, int], ...]) -> RunsCompared:
    results = {run_id: _read(folder, changed) for run_id, folder, changed in runs}
    models = {run_id: str(result.report["model"]) for run_id, result in results.items()}
    reasons = _reasons(results)
    comparison: Comparison | None = None
    best: dict[str, str] = {}
    if not reasons:
        try:
            comparison, best = _tested(results)
        except UserError as error:
            reasons = [str(error)]
    reference = next(iter(results))
    figures = []
    if comparison is not None:
        for row in comparison.rows:
            low, high = row.interval or (None, None)
            of = {
                "p_holm": row.p_holm,
                "difference": row.difference,
                "difference_interval": row.difference_interval,
                "verdict": row.verdict,
            }
            figure = _figure(row.metric, row.name, "model", row.value, low, high, of)
            figure.best = best.get(row.metric) == row.name
            figures.append(figure)
    return RunsCompared(
        comparable=comparison is not None,
        reasons=reasons,
        reference=reference,
        judged="" if comparison is None else comparison.judged,
        confidence=None if comparison is None else comparison.confidence,
        test=None if comparison is None else comparison.test,
        figures=figures,
        beyond={} if comparison is None else {run_id: one.report["test"].get("beyond", {}) for run_id, one in results.items()},
        settings=_differing({run_id: _settings(result) for run_id, result in results.items()}),
        models=models,
    )


def _reasons(results: dict[str, RunResult]) -> list[str]:
    """Why runs cannot be compared, in words."""
    (first, base), *others = results.items()
    found = []
    for run_id, one in others:
        if one.is_ranker != base.is_ranker:
            found.append(f"{run_id} and {first} are of two kinds: a ranker and a retrieval model")
            continue
        if (a := base.report["data"].get("fingerprint")) != (b := one.report["data"].get("fingerprint")):
            found.append(f"{run_id} has other data than {first}: fingerprint {str(b)[:12]}, not {str(a)[:12]}")
        mine, theirs = _judging(base), _judging(one)
        found += [
            f"{run_id} was judged otherwise than {first}: {name} is {theirs[name]}, not {mine[name]}"
            for name in _JUDGED
            if mine[name] != theirs[name]
        ]
        if base.report["test"].get("judged_on") != one.report["test"].get("judged_on"):
            found.append(f"{run_id} was judged on other users or targets than {first}")
    return found


def _judging(result: RunResult) -> dict[str, Any]:
    protocol = result.report.get("protocol") or {}
    judged = protocol.get("evaluate") or {}
    return {name: protocol.get(name, judged.get(name, result.report.get(name))) for name in _JUDGED}


def _tested(results: dict[str, RunResult]) -> tuple[Comparison, dict[str, str]]:
    """The runs against the first, and for each metric the run that is significantly better than all others."""
    from tastemaker.evaluate.metrics import lower_is_better
    from tastemaker.evaluate.significance import compare
    from tastemaker.experiment.compare import compare_named

    comparison = compare_named(results)
    best = {}
    reports = {} if comparison.test == "delong" else {run_id: replace(one.test(), parts={}) for run_id, one in results.items()}
    for metric in comparison.metrics if reports else ():
        top = (min if lower_is_better(metric) else max)(comparison.of(metric), key=lambda row: row.value).name
        ordered = {top: reports[top], **reports}
        if all(row.verdict == "worse" for row in compare(ordered, metrics=[metric]).rows if row.name != top):
            best[metric] = top
    return comparison, best


def _settings(result: RunResult) -> dict[str, Any]:
    """The settings of a run by `section.key`."""
    try:
        tree = tomllib.loads((result.folder / "config.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        tree = {"model": result.report.get("settings", {})}
    flat: dict[str, Any] = {}

    def walk(inside: dict[str, Any], path: str) -> None:
        for key, value in inside.items():
            if isinstance(value, dict):
                walk(value, f"{path}{key}.")
            else:
                flat[path + key] = value

    walk(tree, "")
    return flat


def _differing(settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for one in settings.values() for name in one)
    values = {name: {run_id: one.get(name) for run_id, one in settings.items()} for name in names}
    return {name: of for name, of in values.items() if any(value != next(iter(of.values())) for value in of.values())}
