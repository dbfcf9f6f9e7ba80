"""Compare: finished runs side by side, paired user by user, or row by row where they trained rankers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate.auc_comparison import compare_auc
from tastemaker.evaluate.significance import Comparison, compare
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import MODEL, RunResult


def compare_runs(runs: Sequence[str | Path], metrics: Sequence[str] = (), *, ledger: Ledger | None = None) -> Comparison:
    """Sets the tested models of runs side by side; the first run is the reference.

    Rankers are compared by the AUC of each label that all runs have, with DeLong's test.

    Args:
        runs: folders of finished runs, or names as `tastemaker runs` lists them. A model of several runs is shown with their names.
        metrics: which to compare; none: all that the runs share.
        ledger: where names are looked up; default: the one in `runs_folder()`.

    Raises:
        ConfigError: fewer than two runs, or one twice.
        UserError: a run cannot be found or is not finished.
        DataError: the runs were judged on other users, targets or rows, or have no metric in common.
    """
    results = [_result(run, ledger) for run in runs]
    if len({result.folder.resolve() for result in results}) < max(2, len(results)):
        found = ", ".join(result.id for result in results) or "none"
        raise ConfigError(f"the runs {found}", expected="two different runs or more", hint="`tastemaker runs` lists them")
    times = Counter(result.report["model"] for result in results)
    names = [
        result.report["model"] if times[result.report["model"]] == 1 else f"{result.report['model']} {result.id}"
        for result in results
    ]
    if len(set(names)) < len(names):  # copies of one run's folder
        names = [str(result.folder) for result in results]
    return compare_named(dict(zip(names, results, strict=True)), metrics)


def compare_named(runs: dict[str, RunResult], metrics: Sequence[str] = ()) -> Comparison:
    """`compare_runs` of results by the names they are shown with.

    Raises:
        DataError: the runs were judged on other users, targets or rows, or have no metric in common.
    """
    rankers = [result.is_ranker for result in runs.values()]
    if any(rankers) and not all(rankers):
        raise DataError("runs of rankers and of retrieval models", expected="runs of one kind")
    if all(rankers):
        return _rankers(runs, metrics)
    reports = {name: result.test() for name, result in runs.items()}
    return compare(reports, metrics=list(metrics) or None)


def _rankers(runs: dict[str, RunResult], metrics: Sequence[str]) -> Comparison:
    tables = {name: result.predictions() for name, result in runs.items()}
    prefix = f"{MODEL}/"
    outputs = {
        name: [column.removeprefix(prefix) for column in table.column_names if column.startswith(prefix)]
        for name, table in tables.items()
    }
    labels = {name: [column for column in table.column_names if column.startswith("label/")] for name, table in tables.items()}
    if several := next((name for name in runs if len(labels[name]) < len(outputs[name])), None):
        raise DataError(f"{several!r} tells classes apart", expected="rankers of labels that are 0 or 1")
    shared = [one for one in next(iter(outputs.values())) if all(one in found for found in outputs.values())]
    wanted = [one for one in shared if not metrics or f"auc/{one}" in metrics]
    if not wanted or len(wanted) < len(metrics):
        known = ", ".join(f"auc/{one}" for one in shared) or "none"
        raise DataError(f"metrics in common: {known}", expected=f"{', '.join(metrics) or 'a label'} in every run")
    truth: dict[str, np.ndarray] = {}
    for name, table in tables.items():
        for label in wanted:
            found = table[f"label/{outputs[name].index(label)}"].to_numpy()
            if not np.array_equal(truth.setdefault(label, found), found, equal_nan=True):
                raise DataError(
                    f"{name!r} was judged on other rows than {next(iter(runs))!r}",
                    expected="runs with the same test side",
                    hint="train both with the same [data] and [split]",
                )
    scores = {name: {one: table[prefix + one].to_numpy() for one in wanted} for name, table in tables.items()}
    return compare_auc(truth, scores, next(iter(runs.values())).report["test"]["confidence"])


def _result(run: str | Path, ledger: Ledger | None) -> RunResult:
    folder = Path(run)
    return RunResult.read(folder if folder.is_dir() else (ledger or Ledger()).find(str(run)).folder)
