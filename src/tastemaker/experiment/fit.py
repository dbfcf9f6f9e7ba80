"""Fit: builds the model a config names and trains it, by its own solution or by gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import DataError
from tastemaker.models.base import Model, Solvable
from tastemaker.models.blend import Blend
from tastemaker.resolve import model_class
from tastemaker.settings import Settings
from tastemaker.train.config import TrainConfig
from tastemaker.train.contrast import pretrain
from tastemaker.train.loop import Record
from tastemaker.train.trainer import make_loader, train


def build(name: str, settings: Settings, schema: FeatureSchema, seed: int = 0) -> Model:
    """A fresh model; `seed` decides its first weights. The caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Model = model_class(name)(settings, schema)
    return model


def adapted(name: str, settings: Settings, interactions: Interactions, loss: str | None) -> Settings:
    """The `[model]` section with what it left open chosen from the training side and `[train] loss`."""
    chosen: Settings = model_class(name).adapt(settings, interactions, loss)
    return chosen


def is_solved(model: Model | Any) -> bool:
    """Whether a model (or its class) is fitted in one step, without epochs."""
    return issubclass(model, Solvable) if isinstance(model, type) else isinstance(model, Solvable)


def fit(
    model: Model,
    interactions: Interactions,
    config: TrainConfig,
    *,
    dataset: Dataset | None = None,
    validate: Callable[[Model], float] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Iterator[Record]:
    """Trains a model in place; see `train`. A solved model yields nothing, a blend what its parts do, one after the other.

    `dataset` is where the interactions are from: it tells what items are (`Model.observe_catalogue`, `Model.observe_contents`).
    """
    if model.needs_reviews and interactions.review is None:
        raise DataError(
            "interactions without reviews",
            expected=f"what users wrote, for {type(model).__name__}",
            hint='name its column: [data] columns = { review = "…" }',
        )
    if dataset is not None:
        model.observe_catalogue(dataset.catalogue)
        if dataset.contents is not None:
            model.observe_contents(dataset.contents, interactions)
            if (epochs := dataset.contents.settings.pretrain_epochs) and not (resume and checkpoint and checkpoint.exists()):
                pretrain(model, interactions, epochs, config.seed)
    if isinstance(model, Blend):
        for place, (part, own) in enumerate(zip(model.config.parts, model.models, strict=True)):
            train_as = TrainConfig.parse(part.train, f"model.parts.{part.model}.train")
            kept = checkpoint.with_stem(f"{checkpoint.stem}-{place}") if checkpoint else None
            yield from fit(own, interactions, train_as, validate=validate, checkpoint=kept, resume=resume)
            own.cpu()  # where those that are solved are
        model.eval()
        return
    if isinstance(model, Solvable):
        model.solve(interactions)
        model.eval()
        return
    yield from train(model, interactions, config, validate=validate, checkpoint=checkpoint, resume=resume)


def chosen(model: Model, interactions: Interactions, config: TrainConfig) -> TrainConfig:
    """The `[train]` section with what it left open chosen from the model and the data."""
    if is_solved(model):
        return config
    targets = make_loader(model, interactions, config).num_targets
    return config.adapted(model.learns_from, model.defaults(config.loss), targets, model.schema.num_items)
