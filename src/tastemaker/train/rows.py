"""Fitting a ranker to labelled rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from tastemaker.data.features.encoded import Features
from tastemaker.errors import ConfigError, DataError
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker
from tastemaker.train import row_losses
from tastemaker.train.config import LoopConfig, Precision
from tastemaker.train.devices import pick_device, pick_dtype
from tastemaker.train.examination import Examination
from tastemaker.train.loop import Record, epochs
from tastemaker.train.optim import LazyAdam
from tastemaker.train.task_weights import GradNorm, Uncertainty, Weighed, Weighting


class RowTrainConfig(LoopConfig):
    """How a ranker is fitted. `None` means: chosen from the ranker and the data, and written into the run's config."""

    loss: str | None = Field(
        None, description=f"one of {', '.join(row_losses.NAMES)}; default: bce, or classes where the label is one of several"
    )
    gamma: float = Field(2.0, ge=0, description="of focal: how little rows that are predicted well count")
    task_weights: tuple[float, ...] = Field((), description="what each label's loss counts, in order; default: 1 each")
    task_weighting: Weighting = Field(
        "fixed", description="uncertainty or gradnorm: what labels count against each other is learned"
    )
    gradnorm_alpha: float = Field(
        1.5, ge=0, description="of gradnorm: how much more a label counts that lags behind; 0: no more"
    )
    embedding_l2: float = Field(0.0, ge=0, description="L2 penalty on the tables of field vectors and weights")
    batch_rows: int | None = Field(None, ge=1, description="rows a step")
    patience: int | None = Field(2, ge=1, description="validations without a better metric before stopping")
    precision: Precision = Field("auto", description="of matrix products")
    calibrate: str | None = Field(
        None, description='"platt" or "isotonic": fitted on the validation side; default: probabilities as they are'
    )

    @model_validator(mode="after")
    def _names(self) -> Self:
        if self.loss is not None and self.loss not in row_losses.NAMES:
            raise ValueError(f"loss to be one of {', '.join(row_losses.NAMES)}, not {self.loss!r}")
        if "gamma" in self.model_fields_set and self.loss != "focal" and self.gamma != 2.0:
            raise ValueError(f"loss to be focal where gamma is set, not {self.loss or 'left open'}")
        if self.task_weighting != "gradnorm" and self.gradnorm_alpha != 1.5:
            raise ValueError(f"task_weighting to be gradnorm where gradnorm_alpha is set, not {self.task_weighting}")
        if self.task_weighting == "gradnorm" and self.task_weights:
            raise ValueError("no task_weights: gradnorm finds them")
        if self.optimizer not in ("adam", "adamw"):
            raise ValueError(f"optimizer to be adam for rankers, not {self.optimizer}")
        if self.calibrate not in (None, "platt", "isotonic"):
            raise ValueError(f"calibrate to be 'platt' or 'isotonic', not {self.calibrate!r}")
        return self

    def adapted(self, ranker: type[Ranker] | Ranker, rows: int, *, classes: bool) -> RowTrainConfig:
        """This config with every open choice made: 1/200 of the rows a step, 256 … 4,096 of them; at most 40 epochs."""
        chosen = {
            key: value
            for key, value in ranker.train_defaults.items()
            if key not in self.model_fields_set or getattr(self, key) is None
        }
        config = self.model_copy(update=chosen)
        return config.model_copy(
            update={
                "loss": config.loss or ("classes" if classes else "bce"),
                "learning_rate": config.learning_rate or 0.001,
                "epochs": config.epochs or 40,
                "patience": config.patience or 2,
                "batch_rows": config.batch_rows or min(4096, max(256, rows // 200)),
            }
        )


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Rows and what came of them."""

    rows: Rows
    labels: Tensor
    """float32 (rows, labels), NaN where not known"""
    weights: Tensor | None
    """float32 (rows,)"""
    groups: Tensor | None
    """int64 (rows,)"""
    lifts: Tensor | None = None
    """float32 (rows,): what a positive counts, 1 / its propensity"""
    places: Tensor | None = None
    """int64 (rows,): the position's place, where what is looked at is learned"""

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> RowBatch:
        """The same batch on a device."""
        parts = (self.weights, self.groups, self.lifts, self.places)
        return RowBatch(
            self.rows.to(device), self.labels.to(device), *(None if part is None else part.to(device) for part in parts)
        )


class RowLoader:
    """Rows in an order drawn anew each epoch; with `together`, rows of a group come side by side and are in one batch."""

    def __init__(
        self,
        features: Features,
        labels: np.ndarray,
        weights: np.ndarray | None = None,
        groups: np.ndarray | None = None,
        lifts: np.ndarray | None = None,
        places: np.ndarray | None = None,
        *,
        together: bool = False,
    ) -> None:
        self.features, self.labels, self.weights, self.groups = features, labels, weights, groups
        self.lifts, self.places = lifts, places
        self.together, self.num_targets = together and groups is not None, len(labels)

    def epoch(self, number: int, seed: int, batch_targets: int) -> Iterator[RowBatch]:
        draw = np.random.default_rng([seed, number])
        if self.together:
            assert self.groups is not None
            place = draw.permutation(int(self.groups.max()) + 1)[self.groups]
            order = np.argsort(place, kind="stable")
            _, sizes = np.unique(place[order], return_counts=True)
            batch = (np.cumsum(sizes) - 1) // batch_targets
            cuts = np.cumsum(sizes)[:-1][np.diff(batch) > 0]
            parts = np.split(order, cuts)
        else:
            order = draw.permutation(self.num_targets)
            parts = [order[start : start + batch_targets] for start in range(0, self.num_targets, batch_targets)]
        for part in parts:
            yield RowBatch(
                Rows.of(self.features.take(part)),
                torch.from_numpy(self.labels[part]),
                *(
                    None if one is None else torch.from_numpy(one[part])
                    for one in (self.weights, self.groups, self.lifts, self.places)
                ),
            )


def train_rows(
    ranker: Ranker,
    loader: RowLoader,
    config: RowTrainConfig,
    *,
    examination: Examination | None = None,
    validate: Callable[[Ranker], float] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Iterator[Record]:
    """Fits the ranker in place; when the generator is exhausted it holds the best weights. See `trainer.train`.

    Args:
        loader: the training rows; losses of groups need those of a group `together`.
        config: open choices are made here (`config.adapted`).
        examination: learned beside the ranker, of the loader's `places`.
        validate: a metric of the ranker on held-out rows, higher is better.

    Raises:
        DivergenceError: the loss became NaN or exploded.
        DataError: a label has one value only in training, or a grouped loss has no groups.
    """
    classes = len(ranker.schema.outputs) > 1 and loader.labels.shape[1] == 1
    config = config.adapted(ranker, loader.num_targets, classes=classes)
    if config.loss in row_losses.GROUPED and not loader.together:
        raise DataError(
            f"the loss {config.loss} without groups", expected="data.group: the column that says what was shown together"
        )
    if examination is not None and config.loss != "bce":
        raise ConfigError(f"the loss {config.loss} beside propensity.joint", expected="bce", hint="see train.loss")
    if loader.lifts is not None and config.loss in ("focal", "classes"):
        raise ConfigError(
            f"the loss {config.loss} with propensities", expected=f"bce, {', '.join(row_losses.GROUPED)}", hint="see train.loss"
        )
    for name, column in zip(ranker.schema.outputs, loader.labels.T, strict=False):
        if len(np.unique(column[~np.isnan(column)])) < 2:
            raise DataError(
                f"the label {name!r} has one value in all {loader.num_targets:,} training rows", expected="both values"
            )
    if config.task_weighting != "fixed" and loader.labels.shape[1] < 2:
        raise ConfigError(
            f"train.task_weighting = {config.task_weighting} with one label",
            expected="several labels to weigh",
            hint="leave task_weighting out",
        )
    assert config.batch_rows and config.learning_rate
    if config.threads:
        torch.set_num_threads(config.threads)
    device = pick_device(config.device)
    ranker.to(device)
    tables = ranker.tables()
    weighting = _weighting(ranker, config)
    beside = [part.to(device) for part in (weighting, examination) if part is not None]
    trained = Weighed(ranker, *beside) if beside else ranker
    known = {id(table) for table in tables}
    others = [weight for weight in ranker.parameters() if id(weight) not in known]
    groups: list[dict[str, Any]] = [
        {"params": others, "weight_decay": config.weight_decay},
        {"params": tables, "weight_decay": config.embedding_l2},
    ]
    groups += [{"params": list(part.parameters())} for part in beside if not isinstance(part, GradNorm)]
    optimizer = LazyAdam(groups, lr=config.learning_rate, betas=config.betas)
    yield from epochs(
        trained,
        loader,
        _StepLoss(ranker, config, device, weighting, examination, classes=classes),
        optimizer,
        config,
        device,
        batch_targets=config.batch_rows,
        identity=_identity(ranker, loader, config),
        validate=None if validate is None else lambda: validate(ranker),
        checkpoint=checkpoint,
        resume=resume,
    )


def _weighting(ranker: Ranker, config: RowTrainConfig) -> Uncertainty | GradNorm | None:
    labels = len(ranker.schema.outputs)
    if config.task_weighting == "uncertainty":
        return Uncertainty(config.task_weights or (1.0,) * labels)
    if config.task_weighting == "gradnorm":
        return GradNorm(labels, ranker.tables(), config.gradnorm_alpha)
    return None


class _StepLoss:
    """The loss of a batch: the weighted sum of its labels' losses, each over the rows whose label is known, and the ranker's penalty."""

    def __init__(
        self,
        ranker: Ranker,
        config: RowTrainConfig,
        device: torch.device,
        weighting: Uncertainty | GradNorm | None = None,
        examination: Examination | None = None,
        *,
        classes: bool,
    ) -> None:
        self.ranker, self.config, self.weighting, self.classes = ranker, config, weighting, classes
        self.examination = examination
        self.device, self.dtype = device.type, pick_dtype(config.precision, device)

    def __call__(self, batch: RowBatch) -> Tensor:
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            logits = self.ranker(batch.rows)
        logits = logits.float()
        if self.examination is not None and batch.places is not None:
            logits = self.examination(logits, batch.places)
        loss, penalty = self._of_labels(logits, batch), self.ranker.penalty()
        return loss if penalty is None else loss + penalty

    def _of_labels(self, logits: Tensor, batch: RowBatch) -> Tensor:
        if self.classes:
            return row_losses.classes(logits, batch.labels[:, 0].long(), batch.weights)
        parts = zip(logits.unbind(1), batch.labels.unbind(1), strict=True)
        losses = [self._of_label(logit, label, batch) for logit, label in parts]
        if all(loss is None for loss in losses):
            return logits.sum() * 0.0
        if self.weighting is not None:
            return self.weighting(losses)
        total = logits.new_zeros(())
        weights = self.config.task_weights or (1.0,) * logits.shape[1]
        for loss, weight in zip(losses, weights, strict=True):
            if loss is not None:
                total = total + weight * loss
        return total

    def _of_label(self, logits: Tensor, labels: Tensor, batch: RowBatch) -> Tensor | None:
        config, known = self.config, ~labels.isnan()
        weights, groups, lifts = batch.weights, batch.groups, batch.lifts
        if not bool(known.all()):
            if not bool(known.any()):
                return None
            logits, labels = logits[known], labels[known]
            weights, groups, lifts = (None if part is None else part[known] for part in (weights, groups, lifts))
        if config.loss == "bce":
            return row_losses.bce(logits, labels if lifts is None else labels * lifts, weights)
        if config.loss == "focal":
            return row_losses.focal(logits, labels, weights, gamma=config.gamma)
        assert groups is not None
        if lifts is not None:
            lifts = torch.where(labels > 0, lifts, 1.0)
            weights = lifts if weights is None else weights * lifts
        return row_losses.BY_NAME[str(config.loss)](logits, labels, groups, weights)


@torch.no_grad()
def predict(ranker: Ranker, features: Features, batch_rows: int = 8192) -> np.ndarray:
    """Logits of encoded rows, float32 (rows, outputs), in evaluation mode."""
    ranker.eval()
    device = next(ranker.parameters()).device
    parts = []
    for start in range(0, len(features), batch_rows):
        rows = Rows.of(features.take(np.arange(start, min(start + batch_rows, len(features))))).to(device)
        parts.append(ranker(rows).float().cpu().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, len(ranker.schema.outputs)), np.float32)


def _identity(ranker: Ranker, loader: RowLoader, config: RowTrainConfig) -> str:
    digest = hashlib.sha256(f"{type(ranker).__name__}{ranker.config!r}{ranker.schema!r}".encode())
    digest.update(config.model_copy(update={"epochs": 0, "threads": None, "device": ""}).model_dump_json().encode())
    for array in (loader.features.codes, loader.labels, loader.lifts, loader.places):
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
