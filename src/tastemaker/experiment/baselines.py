"""Baselines: strong simple models, each tuned on validation over a small grid, that every report sets beside the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.errors import ConfigError
from tastemaker.experiment.fit import build, is_solved
from tastemaker.log import logger
from tastemaker.models.base import Model, Solvable
from tastemaker.resolve import model_class

EASE_ITEMS = 15_000
"""Catalogues beyond this are too large for `ease` as a baseline: its dense matrix grows with the square of the items."""

GRIDS: dict[str, list[dict[str, Any]]] = {
    "popularity": [{}, {"window_days": 30.0}, {"window_days": 7.0}, {"half_life_days": 30.0}, {"half_life_days": 7.0}],
    "item_knn": [
        {"neighbours": neighbours, **settings}
        for neighbours in (50, 200)
        for settings in (
            {"weighting": "tfidf"},
            {"weighting": "tfidf", "shrinkage": 10.0},
            {"weighting": "bm25"},
            {"weighting": "none", "similarity": "jaccard"},
        )
    ],
    "ease": [{}, *({"regularization": value} for value in (30.0, 100.0, 300.0, 1000.0))],
}
"""What is tried; a model without an entry is taken with its defaults."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A baseline with the settings that did best on validation, learned from the training side."""

    name: str
    settings: dict[str, Any]
    tried: int
    metric: float
    """the validation metric of these settings, higher better; 0 where nothing could be chosen"""
    model: Model


def reason_to_skip(name: str, dataset: Dataset) -> str:
    """Why a baseline is left out on this data; "" when it is not."""
    if name == "ease" and len(dataset.items) > EASE_ITEMS:
        return f"ease is left out as a baseline: {len(dataset.items):,} items, more than the {EASE_ITEMS:,} its dense matrix is meant for"
    return ""


def tune(name: str, dataset: Dataset, train: Interactions, choose: Callable[[Model], float] | None) -> Baseline:
    """The best of a baseline's grid on validation; ties go to the earlier entry.

    Args:
        name: of the model.
        dataset: brings the schema.
        train: what is learned from.
        choose: the validation metric, higher better; None takes the defaults.

    Raises:
        ConfigError: the model is not solved in one step.
    """
    kind = model_class(name)
    if not is_solved(kind):
        raise ConfigError(
            f"baseline {name!r}", expected="a model solved in one step", hint="train it as a run and use `compare`"
        )
    grid = GRIDS.get(name, [{}]) if choose else [{}]
    if not train.has_times:
        grid = [settings for settings in grid if not {"window_days", "half_life_days"} & set(settings)]
    best: Baseline | None = None
    for settings in grid:
        model = solved(name, settings, dataset, train)
        metric = choose(model) if choose else 0.0
        if best is None or metric > best.metric:
            best = Baseline(name, settings, len(grid), metric, model)
    assert best is not None
    how = f", best of {best.tried} on validation" if best.tried > 1 else ""
    logger.info("baseline %s: %s%s", name, _words(best.settings), how)
    return best


def solved(name: str, settings: dict[str, Any], dataset: Dataset, interactions: Interactions) -> Model:
    """A model fitted in one step."""
    model = build(name, model_class(name).Config.parse(settings, "model"), dataset.schema)
    assert isinstance(model, Solvable)
    model.observe_catalogue(dataset.catalogue)
    model.solve(interactions)
    return model.eval()


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items()) or "default settings"
