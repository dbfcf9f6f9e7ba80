"""RunResult: what a finished run left in its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from tastemaker.errors import UserError
from tastemaker.evaluate.report import Report
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender

REPORT, REPORTS, ARTIFACT, PREDICTIONS = "report.json", "reports", "artifact", "predictions.arrow"
MODEL = "model"
"""The name of the trained model's own report among those of the baselines."""


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder and its report."""

    folder: Path
    report: dict[str, Any]
    """what `report.json` holds"""

    @classmethod
    def read(cls, folder: Path | str) -> RunResult:
        """The result in a run's folder.

        Raises:
            UserError: there is none.
        """
        folder = Path(folder)
        try:
            return cls(folder, json.loads((folder / REPORT).read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"no {REPORT} in {str(folder)!r}", expected="the folder of a finished run", hint="`tastemaker runs` lists them"
            ) from None
        except ValueError as error:
            raise UserError(
                f"{folder / REPORT}: {error}", expected="a report", hint="the file is damaged; train again"
            ) from None

    @property
    def id(self) -> str:
        """The run's name."""
        return str(self.report["run"])

    @property
    def artifact(self) -> Path:
        """The folder of the saved model."""
        return self.folder / ARTIFACT

    @cached_property
    def recommender(self) -> Recommender:
        """The saved model, ready to answer."""
        return artifact.load(self.artifact)

    def tests(self) -> dict[str, Report]:
        """The test reports with the values of each user: `MODEL` and the baselines by name."""
        return {name: Report.load(self.folder / REPORTS, name) for name in (MODEL, *self.report["baselines"])}

    def test(self) -> Report:
        """The model's test report with the values of each user."""
        return Report.load(self.folder / REPORTS, MODEL)

    @property
    def is_ranker(self) -> bool:
        """Whether the run trained a ranker."""
        return self.report.get("kind") == "ranker"

    def predictions(self) -> pa.Table:
        """Of a ranker: the labels of every test row and what was said of it, columns label/PLACE and NAME/LABEL.

        Raises:
            UserError: there are none.
        """
        try:
            with pa.memory_map(str(self.folder / PREDICTIONS)) as source:
                return pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise UserError(f"{self.folder / PREDICTIONS}: {error}", expected="predictions", hint="train again") from None

    def to_dict(self) -> dict[str, Any]:
        """The summary that `train --json` prints."""
        report = self.report
        return {
            "run": str(self.folder),
            "artifact": str(self.artifact),
            "model": report["model"],
            "test": report["test"]["metrics"],
            "validation": report["validation"]["metrics"] if report["validation"] else {},
            "baselines": {name: baseline["test"]["metrics"] for name, baseline in report["baselines"].items()},
            "epochs": report["epochs"],
            "train_seconds": report["train_seconds"],
            "peak_memory_mb": report["peak_memory_mb"],
        }


def plain(value: Any) -> Any:
    """A value in JSON's own types; NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.item() if hasattr(value, "item") else str(value)
