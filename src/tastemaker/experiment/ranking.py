"""A run that trains a ranker: from a config to rows, fields, a trained ranker, a report and a predictor, in one folder.

The folder is that of any run (`experiment.run`), with `predictions.arrow` in place of lists: what the ranker and each baseline said of every
test row, so that runs can be paired.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from tastemaker import __version__
from tastemaker.data.features.encoded import Features
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.propensity import Propensities
from tastemaker.data.rows import LabelledRows, RowSplit, load_rows
from tastemaker.data.schema import RowSchema
from tastemaker.evaluate import labels as judged
from tastemaker.evaluate.auc import auc, auc_difference, grouped_auc
from tastemaker.experiment.folder import CHECKPOINT, CONFIG, peak_memory_mb, placed, state_of, write_whole
from tastemaker.experiment.leaks import leaks
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.rank_config import RankConfig
from tastemaker.experiment.result import ARTIFACT, PREDICTIONS, REPORT, RunResult, plain
from tastemaker.experiment.tradeoffs import side_of, weigh
from tastemaker.log import logger
from tastemaker.rankers.base import Ranker
from tastemaker.recommend.predictor import Predictor
from tastemaker.resolve import ranker_class
from tastemaker.settings import Settings
from tastemaker.train.examination import Examination
from tastemaker.train.loop import Record
from tastemaker.train.row_losses import GROUPED
from tastemaker.train.rows import RowLoader, RowTrainConfig, train_rows

OnRecord = Callable[[Record], None]
_RATE = "rate"
"""The baseline that knows the share of positives alone."""


def rank_run(
    config: RankConfig,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    on_record: OnRecord | None = None,
    ledger: Ledger | None = None,
) -> RunResult:
    """Trains, judges and saves the ranker that a config describes; arguments as those of `train_run`.

    Raises:
        ConfigError: `out` holds something else, or a run of another config; a setting does not fit the rows.
        TastemakerError: what any of the parts raises; the ledger then says why the run failed.
    """
    ledger = ledger or Ledger()
    place = placed(config, Path(out) if out else None, resume, ledger)
    if place.finished:
        logger.info("run %s is finished already", place.run.id)
        return RunResult.read(place.folder)
    with place.working(config, ledger):
        result, place.figures = _run(config, place.folder, place.run.id, place.resuming, on_record)
    return result


@dataclass(frozen=True, eq=False)
class Encoded:
    """A split whose rows are numbers."""

    rows: RowSplit
    encoder: FeatureEncoder
    features: dict[str, Features]
    """of each side, as rows are asked about"""
    shown: dict[str, Features]
    """of the training and validation side, as rows were shown: with their positions, where those are learned from"""
    propensities: Propensities | None = None
    lifts: dict[str, np.ndarray] = field(default_factory=dict)
    """of the training and validation side, where there are propensities: what a positive counts"""
    places: dict[str, np.ndarray] = field(default_factory=dict)
    """the same, where what is looked at is learned beside the ranker: places of positions"""

    @property
    def classes(self) -> bool:
        """Whether one label is one of several classes."""
        return self.rows.train.labels.shape[1] < len(self.rows.outputs)

    @property
    def schema(self) -> RowSchema:
        """What a ranker is built from."""
        return RowSchema(self.encoder.schema, self.rows.outputs)


def encoded(config: RankConfig) -> Encoded:
    """The rows of a config, split and encoded; fields are learned from the training side alone."""
    rows = load_rows(config.data, config.split, config.base)
    logger.info("rows: %s", ", ".join(f"{len(side):,} {name}" for name, side in rows.sides.items()))
    unread = (*rows.not_features, *(config.propensity.columns if config.propensity else ()))
    encoder = FeatureEncoder.fit(rows.train.table, config.features, but=unread)
    for note in encoder.notes:
        logger.info("field %s", note)
    shown = {name: encoder.encode(rows.sides[name].table, shown=True) for name in ("train", "validation")}
    features = dict(shown) if config.features.position is None else {}
    features |= {name: encoder.encode(side.table) for name, side in rows.sides.items() if name not in features}
    if config.propensity is None:
        return Encoded(rows, encoder, features, shown)
    found = Propensities.fit(config.propensity, rows.train.table, rows.train.labels[:, 0])
    if config.propensity.joint:
        places = {name: found.places(rows.sides[name].table) for name in shown}
        return Encoded(rows, encoder, features, shown, found, places=places)
    return Encoded(rows, encoder, features, shown, found, {name: found.lifts(rows.sides[name].table) for name in shown})


def _run(
    config: RankConfig, folder: Path, run: str, resuming: bool, on_record: OnRecord | None
) -> tuple[RunResult, dict[str, Any]]:
    data = encoded(config)
    found = [] if data.classes else leaks(data.encoder.schema, data.shown["train"], data.rows.train.labels, data.rows.outputs)
    notes = [*data.rows.notes, *map(str, found)]
    for leak in found:
        logger.warning("leak: %s", leak)
    for objective in config.objectives.values():
        objective.check(data.rows.outputs)
    kind = ranker_class(config.model_name)
    chosen = config.train.adapted(kind, len(data.rows.train), classes=data.classes)
    config = replace(config, features=data.encoder.config, train=chosen)
    write_whole(folder / CONFIG, config.to_toml())

    trained, looked, seconds, epochs = _fitted(
        config.model_name, config.model, config.train, data, config, folder, resuming, on_record
    )
    propensities = data.propensities
    if propensities is not None and looked is not None:
        propensities = replace(propensities, examined=looked.examined())
    notes += _biased(data.encoder, propensities)
    predictor = Predictor(
        trained, data.encoder, classes=data.classes, calibration=config.train.calibrate, objectives=config.objectives
    )
    validation = predictor.logits(data.features["validation"])
    as_shown = validation if data.encoder.config.position is None else predictor.logits(data.shown["validation"])
    predictor.calibrate(as_shown, data.rows.validation.labels, data.rows.validation.weights)
    predictor.threshold = _threshold(config, predictor.probabilities(validation), data)
    said = {"model": predictor.probabilities(predictor.logits(data.features["test"]))}
    if not data.classes:
        said |= {_RATE: np.tile(np.nanmean(data.rows.train.labels, axis=0), (len(data.rows.test), 1))}
    for name in config.evaluate.baselines:
        if name != config.model_name and not (len(data.rows.outputs) > 1 and not ranker_class(name).many_outputs):
            logger.info("baseline %s", name)
            settings = ranker_class(name).Config.parse({})
            plain_train = RowTrainConfig.parse({"seed": config.train.seed, "device": config.train.device})
            rival, _, _, _ = _fitted(name, settings, plain_train, data, config)
            said[name] = _said(rival, data)
    test = data.rows.test
    _save_predictions(folder / PREDICTIONS, said, test, data.rows.outputs)
    reports = {
        name: _judged(values, test, data, predictor.threshold, config.evaluate.confidence) for name, values in said.items()
    }
    report = plain(
        {
            "run": run,
            "kind": "ranker",
            "model": config.model_name,
            "settings": config.to_dict()["model"],
            "data": {
                "rows": {name: len(side) for name, side in data.rows.sides.items()},
                "positives": None if data.classes else {name: _rates(side) for name, side in data.rows.sides.items()},
                "fields": [vars(field) for field in data.encoder.schema],
                "read_as": list(data.encoder.notes),
            },
            "protocol": {
                "split": config.to_dict()["split"],
                "evaluate": config.to_dict()["evaluate"],
                "threshold": predictor.threshold,
            },
            "test": reports.pop("model"),
            "validation": _judged(
                predictor.probabilities(validation), data.rows.validation, data, predictor.threshold, config.evaluate.confidence
            )
            if len(data.rows.validation)
            else None,
            "baselines": {name: {"test": one} for name, one in reports.items()},
            "comparison": _compared(said, test, data),
            "propensity": propensities.to_dict() if propensities else None,
            "tradeoffs": _weighed(predictor.probabilities(validation), said["model"], data),
            "notes": notes,
            "epochs": epochs,
            "train_seconds": round(seconds, 3),
            "peak_memory_mb": round(peak_memory_mb(), 1),
            "versions": {"tastemaker": __version__, "python": platform.python_version(), "torch": torch.__version__},
            "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        }
    )
    predictor.save(folder / ARTIFACT, metrics={"test": report["test"]["metrics"]}, config=config.to_dict())
    write_whole(folder / REPORT, json.dumps(report, indent=2, allow_nan=False) + "\n")
    (folder / CHECKPOINT).unlink(missing_ok=True)
    chosen_by = report["validation"]["metrics"] if report["validation"] else {}
    figures = {"validation": chosen_by, "test": report["test"]["metrics"], "epochs": epochs, "train_seconds": seconds}
    return RunResult(folder, report), figures


def _fitted(
    name: str,
    settings: Settings,
    train: RowTrainConfig,
    data: Encoded,
    config: RankConfig,
    folder: Path | None = None,
    resuming: bool = False,
    on_record: OnRecord | None = None,
) -> tuple[Ranker, Examination | None, float, int]:
    """A ranker fitted to the training side: with its best weights, what was learned beside it, the seconds it took and the epoch they are of."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(train.seed)
        ranker: Ranker = ranker_class(name)(settings, data.schema)
    side = data.rows.train
    lifts, places = data.lifts.get("train"), data.places.get("train")
    together = train.loss in GROUPED
    loader = RowLoader(data.shown["train"], side.labels, side.weights, side.groups, lifts, places, together=together)
    looked = Examination(len(data.propensities.positions)) if data.propensities and data.places else None
    choose = _chooser(config.evaluate.select, data, looked) if len(data.rows.validation) else None
    began, epochs = time.perf_counter(), 0
    checkpoint = folder / CHECKPOINT if folder is not None else None
    for record in train_rows(
        ranker, loader, train, examination=looked, validate=choose, checkpoint=checkpoint, resume=resuming
    ):
        epochs = record.best_epoch or record.epoch
        if on_record:
            on_record(record)
    seconds = time.perf_counter() - began
    if checkpoint is not None:
        state = state_of(checkpoint)
        epochs, seconds = state["best_epoch"] or state["epoch"], state["seconds"]
    return ranker.cpu(), looked, seconds, epochs


def _chooser(metric: str, data: Encoded, looked: Examination | None = None) -> Callable[[Ranker], float]:
    """The validation metric, higher is better: the mean over labels, of rows as they were shown."""
    side, features, lifts = data.rows.validation, data.shown["validation"], data.lifts.get("validation")

    def of_label(place: int, found: np.ndarray) -> float:
        known = ~np.isnan(side.labels[:, place])
        label, probability = side.labels[known, place], found[known, place]
        weights = None if side.weights is None else side.weights[known]
        if lifts is not None:
            weights = np.where(label > 0, lifts[known], 1.0) * (1.0 if weights is None else weights)
        if metric == "log_loss":
            return -judged.log_loss(label, probability, weights)
        if metric == "grouped_auc" and side.groups is not None:
            return grouped_auc(label, probability, side.groups[known]).value
        return auc(label, probability, weights)

    def choose(ranker: Ranker) -> float:
        said = Predictor(ranker, data.encoder, classes=data.classes)
        logits = said.logits(features)
        if looked is not None:
            device = looked.tenths.device
            asked = (torch.from_numpy(one).to(device) for one in (logits, data.places["validation"]))
            with torch.no_grad():
                logits = looked(*asked).cpu().numpy()
        found = said.probabilities(logits)
        if data.classes:
            return -judged.class_log_loss(side.labels[:, 0].astype(np.int64), found)
        return float(np.mean([of_label(place, found) for place in range(found.shape[1])]))

    return choose


def _said(ranker: Ranker, data: Encoded) -> np.ndarray:
    plainly = Predictor(ranker, data.encoder, classes=data.classes)
    return plainly.probabilities(plainly.logits(data.features["test"]))


def _threshold(config: RankConfig, validation: np.ndarray, data: Encoded) -> float | None:
    wish = config.evaluate.threshold
    if data.classes or wish is None or isinstance(wish, float):
        return wish if isinstance(wish, float) else None
    known = ~np.isnan(data.rows.validation.labels[:, 0])
    return judged.best_threshold(data.rows.validation.labels[known, 0], validation[known, 0], wish)


def _judged(said: np.ndarray, side: LabelledRows, data: Encoded, threshold: float | None, confidence: float) -> dict[str, Any]:
    """Metrics and intervals; of several labels each with its name behind, such as auc/click."""
    if data.classes:
        places = side.labels[:, 0].astype(np.int64)
        values = _worth(data.rows.outputs)
        metrics = {
            "log_loss": judged.class_log_loss(places, said),
            "accuracy": float((said.argmax(1) == places).mean()),
            "rmse": judged.class_rmse(places, said, values),
        }
        return {"metrics": metrics, "intervals": {}, "rows": len(side), "confidence": confidence}
    found: dict[str, Any] = {"metrics": {}, "intervals": {}, "rows": len(side), "confidence": confidence, "labels": {}}
    for place, name in enumerate(data.rows.outputs):
        known = ~np.isnan(side.labels[:, place])
        groups = None if side.groups is None else side.groups[known]
        one = judged.judge_labels(
            side.labels[known, place],
            said[known, place],
            groups=groups,
            threshold=threshold if place == 0 else None,
            confidence=confidence,
        )
        behind = f"/{name}" if len(data.rows.outputs) > 1 else ""
        found["metrics"] |= {key + behind: value for key, value in one.metrics.items()}
        found["intervals"] |= {key + behind: list(bounds) for key, bounds in one.intervals.items()}
        found["labels"][name] = one.to_dict()
    return found


def _worth(outputs: tuple[str, ...]) -> np.ndarray | None:
    """The classes as numbers, such as stars, where all of them are."""
    try:
        return np.array([float(name) for name in outputs])
    except ValueError:
        return None


def _biased(encoder: FeatureEncoder, found: Propensities | None) -> list[str]:
    """What a reader of the figures has to know where clicks depend on positions."""
    served = encoder.config.position_served
    if served is not None:
        where = f"as if shown at {encoder.config.position} {served:g}"
        return [f"rows are asked about {where}; the labels they are judged by depend on where they were shown"]
    if found is None:
        return []
    parts = [f"{at:g}: {share:.3f}" for at, share in zip(found.positions, found.examined, strict=True)][:10]
    told = [f"looked at, by {found.config.position}: {', '.join(parts)}"] if parts else []
    how = "what is looked at is learned beside the ranker" if found.config.joint else "positives are weighed by propensity"
    return [*told, f"{how}; the labels of the test side are as they were seen"]


def _weighed(validation: np.ndarray, test: np.ndarray, data: Encoded) -> dict[str, Any] | None:
    """What each weighting of several labels gives, chosen on validation."""
    rows = data.rows
    if data.classes or len(rows.outputs) < 2 or not len(rows.validation):
        return None
    sides = {"validation": side_of(rows.validation, validation), "test": side_of(rows.test, test)}
    return weigh(sides, rows.outputs).to_dict()


def _rates(side: LabelledRows) -> list[float]:
    return np.nanmean(side.labels, axis=0).tolist() if len(side) else []


def _compared(said: dict[str, np.ndarray], side: LabelledRows, data: Encoded) -> dict[str, Any] | None:
    """Of the first label: how much higher the ranker's AUC is than each baseline's on the same rows (DeLong)."""
    if data.classes or len(said) < 2:
        return None
    known = ~np.isnan(side.labels[:, 0])
    label, own = side.labels[known, 0], said["model"][known, 0]
    return {
        name: vars(auc_difference(label, own, values[known, 0]))
        for name, values in said.items()
        if name not in ("model", _RATE)
    }


def _save_predictions(path: Path, said: dict[str, np.ndarray], side: LabelledRows, outputs: tuple[str, ...]) -> None:
    columns: dict[str, Any] = {f"label/{place}": column for place, column in enumerate(side.labels.T)}
    columns |= {f"{name}/{output}": values[:, place] for name, values in said.items() for place, output in enumerate(outputs)}
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, (table := pa.table(columns)).schema) as writer:
        writer.write_table(table)
