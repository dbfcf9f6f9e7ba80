"""Course: how the training of a version went. It lies beside the version, and stays when old versions lose their files.

```
RUN/artifact/ + RUN/report.json, config.toml, records.jsonl, steps.jsonl, reports/model…   ── registry.add ──▶   NAME/3/ + NAME/3.course/…
```
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from tastemaker.wire.lineage import TrainingRecord

REPORT, RECORDS, STEPS = "report.json", "records.jsonl", "steps.jsonl"
_KEPT = (REPORT, RECORDS, STEPS, "config.toml", "reports/model.json", "reports/model.arrow", "reports/model")
_MOST = 300
_OWN = {"epoch", "loss", "seconds", "targets_per_second", "best_epoch"}

T = TypeVar("T")


def place(version: Path | str) -> Path:
    """The folder of the course of the version in a folder."""
    version = Path(version)
    return version.with_name(f"{version.name}.course")


def keep(artifact: Path, version: Path) -> None:
    """Copies what a run tells beside a version, where the artifact lies in the folder of its run."""
    if artifact.name != "artifact":
        return
    for name in _KEPT:
        source, target = artifact.parent / name, place(version) / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy(source, target)


def report(version: Path | str) -> dict[str, Any] | None:
    """The report of a version's run; None where there is none that can be read."""
    try:
        found = json.loads((place(version) / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read(folder: Path) -> tuple[str | None, list[TrainingRecord], list[TrainingRecord]]:
    """The name of the validation metric, the rows of epochs and those within epochs, of a run's or a course's folder."""
    from tastemaker.experiment.writers import read_records  # whoever only serves starts without what trains

    epochs, steps = ([row for row in read_records(folder / name) if _told(row)] for name in (RECORDS, STEPS))
    metric = next((name for row in epochs for name in row if name not in _OWN), None)
    return metric, thinned([_row(row, metric) for row in epochs]), thinned([_row(row, None) for row in steps])


def thinned(rows: Sequence[T], most: int = _MOST) -> list[T]:
    """At most `most` rows, evenly spaced, the last one among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[(place + 1) * len(rows) // most - 1] for place in range(most)]


def _told(row: dict[str, Any]) -> bool:
    """Whether a row says where it stands and how it went: one that does not, such as of a loss that is no number, is no point of a curve."""
    return all(isinstance(row.get(name), int | float) for name in ("epoch", "loss"))


def _row(row: dict[str, Any], metric: str | None) -> TrainingRecord:
    value = None if metric is None else row.get(metric)
    return TrainingRecord(
        epoch=float(row["epoch"]),
        loss=float(row["loss"]),
        seconds=float(row.get("seconds") or 0.0),
        targets_per_second=float(row.get("targets_per_second") or 0.0),
        metric=None if value is None else float(value),
    )
