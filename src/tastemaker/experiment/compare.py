"""Compare: finished runs side by side, paired user by user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tastemaker.errors import ConfigError
from tastemaker.evaluate.significance import Comparison, compare
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import MODEL, RunResult


def compare_runs(runs: Sequence[str | Path], metrics: Sequence[str] = (), *, ledger: Ledger | None = None) -> Comparison:
    """Sets the tested models of runs side by side; the first run is the reference.

    Args:
        runs: folders of finished runs, or names as `tastemaker runs` lists them. A model of several runs is shown with their names.
        metrics: which to compare; none: all that the runs share.
        ledger: where names are looked up; default: the one in `runs_folder()`.

    Raises:
        ConfigError: fewer than two runs, or one twice.
        UserError: a run cannot be found or is not finished.
        DataError: the runs were judged on other users or targets.
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
    reports = {name: result.tests()[MODEL] for name, result in zip(names, results, strict=True)}
    return compare(reports, metrics=list(metrics) or None)


def _result(run: str | Path, ledger: Ledger | None) -> RunResult:
    folder = Path(run)
    return RunResult.read(folder if folder.is_dir() else (ledger or Ledger()).find(str(run)).folder)
