"""Predictor: a trained ranker made usable - rows as people write them in, probabilities out - and kept as a sealed folder.

```
manifest.json         what it is, what made it, and the size and sha256 of every other file
weights.safetensors   the ranker's parameters and buffers, and those of its calibration
features.arrow        what each column means
```
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import nn

from tastemaker.data.features.encoded import Features
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.schema import RowSchema
from tastemaker.errors import ArtifactError, ConfigError, DataError
from tastemaker.nn.calibration import Isotonic, Platt
from tastemaker.nn.packed import Precision, packed
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker
from tastemaker.recommend.objective import Objective
from tastemaker.recommend.sealed import (
    MANIFEST,
    FileFacts,
    ModelFacts,
    check_files,
    damaged,
    load_weights,
    opening,
    read_facts,
    seal,
    tensors_of,
)
from tastemaker.resolve import ranker_class
from tastemaker.settings import Settings

FORMAT = 1
"""The format written, and the newest that can be read."""

_WEIGHTS, _FEATURES = "weights.safetensors", "features.arrow"
_FILES = (_WEIGHTS, _FEATURES)
_BATCH = 8192
_CALIBRATIONS: dict[str, Any] = {"platt": Platt, "isotonic": Isotonic}


class PredictorFacts(Settings):
    """What a predictor is, but for weights and fields."""

    ranker: ModelFacts
    outputs: tuple[str, ...]
    classes: bool
    calibration: str | None
    threshold: float | None
    objectives: dict[str, Objective] = Field(default_factory=dict)


class PredictorManifest(PredictorFacts):
    """What a predictor's folder says of itself."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    format: int
    created: str
    tastemaker: str
    torch: str
    metrics: dict[str, Any]
    config: dict[str, Any]
    files: dict[str, FileFacts]


class Predictor:
    """A ranker with its fields: `predict` takes a table or a list of dicts; everything else is derived from it."""

    def __init__(
        self,
        ranker: Ranker,
        encoder: FeatureEncoder,
        *,
        classes: bool = False,
        calibration: str | None = None,
        threshold: float | None = None,
        objectives: Mapping[str, Objective] | None = None,
    ) -> None:
        self.ranker, self.encoder, self.classes, self.calibration = ranker.eval(), encoder, classes, calibration
        self.outputs = ranker.schema.outputs
        self.threshold = threshold
        """from which probability of the first label on a row is acted upon; None where nothing was chosen"""
        self.objectives = dict(objectives or {})
        """what lists are ordered by, for each scenario; the first where none is named"""
        for objective in self.objectives.values():
            objective.check(self.outputs)
        kind = _CALIBRATIONS.get(calibration or "")
        self._calibrated = nn.ModuleList(kind() for _ in self.outputs) if kind is not None and not classes else nn.ModuleList()

    def objective(self, wish: str | None = None) -> tuple[str, Objective]:
        """The objective of that name, or of a text such as "click=1,buy=4", and its name; without a wish the first, or else the first label.

        Raises:
            ConfigError: there is none of that name, or a label is not known.
        """
        if wish is None:
            return next(iter(self.objectives.items()), (self.outputs[0], Objective.parse({"weights": {self.outputs[0]: 1.0}})))
        if "=" in wish:
            (found := Objective.of(wish)).check(self.outputs)
            return wish, found
        if wish not in self.objectives:
            known = f"one of {', '.join(self.objectives)}, or weights" if self.objectives else "weights"
            example = ",".join(f"{name}=1" for name in self.outputs[:2])
            raise ConfigError(f"no objective {wish!r}", expected=f"{known} such as {example}")
        return wish, self.objectives[wish]

    def calibrate(self, logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Fits the calibration of each label on held-out rows: logits and labels (rows, outputs), NaN where not known."""
        for place, module in enumerate(self._calibrated):
            known = ~np.isnan(labels[:, place])
            share = None if weights is None else torch.from_numpy(weights[known])
            module.solve(torch.from_numpy(logits[known, place]), torch.from_numpy(labels[known, place]), share)  # type: ignore[operator]

    @torch.no_grad()
    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """float64 (rows, outputs): of each label, or of each class."""
        given = torch.from_numpy(np.ascontiguousarray(logits))
        if self.classes:
            return given.double().softmax(1).numpy()
        if not self._calibrated:
            return given.double().sigmoid().numpy()
        return np.stack(
            [module(column).double().numpy() for module, column in zip(self._calibrated, given.unbind(1), strict=True)], axis=1
        )

    @torch.no_grad()
    def logits(self, features: Features) -> np.ndarray:
        """float32 (rows, outputs) of encoded rows."""
        device = next(self.ranker.parameters()).device
        if not self.ranker.shares_cells:
            features = features.plain()
        parts = [
            self.ranker(Rows.of(features.part(start, start + _BATCH)).to(device)).float().cpu().numpy()
            for start in range(0, len(features), _BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.outputs)), np.float32)

    def packed(self, precision: Precision = "float32") -> Predictor:
        """The same predictor, made ready to be asked often on a CPU; it shares all but the ranker's linear maps. See `nn.packed`."""
        other = copy.copy(self)
        other.ranker = cast(Ranker, packed(self.ranker, precision))
        return other

    def predict(self, rows: pa.Table | Sequence[Mapping[str, Any]]) -> pa.Table:
        """A column of probabilities for each label or class, a row for each row.

        A column that rows do not have is a missing value in all of them where rows are dicts; a table must have every column.

        Raises:
            DataError: a column is not there, or does not hold what it is said to.
        """
        table = rows if isinstance(rows, pa.Table) else self._tabled(rows)
        found = self.probabilities(self.logits(self.encoder.encode(table)))
        return pa.table(dict(zip(self.outputs, found.T, strict=True)))

    def _tabled(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        columns = {}
        for name in self.encoder.columns:
            try:
                columns[name] = pa.array([row.get(name) for row in rows])
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise DataError(f"values of {name!r}: {error}", expected="values of one type in a field") from None
        return pa.table(columns)

    def save(
        self, folder: Path | str, *, metrics: Mapping[str, Any] | None = None, config: Mapping[str, Any] | None = None
    ) -> Path:
        """Writes the folder, whole or not at all, and returns it; a predictor already there is replaced.

        Raises:
            ArtifactError: the folder holds something else, cannot be written, or the weights are not finite.
        """
        facts = {"format": FORMAT, **self.facts(), "metrics": metrics or {}, "config": config or {}}
        files: dict[str, Callable[[Path], None]] = {_WEIGHTS: self.save_weights, _FEATURES: self.encoder.save}
        return seal(folder, files, facts, "a predictor")

    def facts(self) -> dict[str, Any]:
        """What it is, but for weights and fields."""
        name = type(self.ranker).__module__.rpartition(".")[2]
        return {
            "ranker": {"name": name, "config": self.ranker.config.model_dump(mode="json")},
            "outputs": list(self.outputs),
            "classes": self.classes,
            "calibration": self.calibration,
            "threshold": self.threshold,
            "objectives": {name: one.model_dump(mode="json") for name, one in self.objectives.items()},
        }

    def save_weights(self, path: Path) -> None:
        """Writes the weights of ranker and calibration."""
        save_file(tensors_of(self._whole()), path)

    @classmethod
    def of(cls, facts: PredictorFacts, encoder: FeatureEncoder, weights: Path) -> Predictor:
        """The predictor that said `facts` of itself."""
        kind = ranker_class(facts.ranker.name)
        with torch.random.fork_rng(devices=[]):
            ranker = kind(kind.Config.parse(facts.ranker.config, "model"), RowSchema(encoder.schema, facts.outputs))
        found = cls(
            ranker,
            encoder,
            classes=facts.classes,
            calibration=facts.calibration,
            threshold=facts.threshold,
            objectives=facts.objectives,
        )
        load_weights(found._whole(), weights)
        return found

    def _whole(self) -> nn.ModuleDict:
        return nn.ModuleDict({"ranker": self.ranker, "calibration": self._calibrated})


def is_predictor(folder: Path | str) -> bool:
    """Whether a sealed folder holds a predictor, not a recommender."""
    return (Path(folder) / _FEATURES).is_file()


def load_predictor(folder: Path | str) -> Predictor:
    """Opens a predictor's folder.

    Raises:
        ArtifactError: it is none, or damaged, incomplete, inconsistent, or written by a newer version.
    """
    folder = Path(folder)
    facts = read_facts(folder, FORMAT)
    try:
        manifest = PredictorManifest.parse(facts)
    except ConfigError as error:
        raise (damaged(MANIFEST, str(error)) if is_predictor(folder) else _no_predictor(folder)) from None
    check_files(folder, manifest.files, _FILES)
    with opening(folder):
        return Predictor.of(manifest, FeatureEncoder.load(folder / _FEATURES), folder / _WEIGHTS)


def _no_predictor(folder: Path) -> ArtifactError:
    return ArtifactError(
        f"{str(folder)!r} holds no predictor", expected="the artifact of a ranker", hint="`tastemaker train` makes one"
    )
