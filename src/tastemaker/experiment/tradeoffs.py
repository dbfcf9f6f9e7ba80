"""What each weighting of a ranker's labels gives, and the weighting that maximises one label with a floor on another."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from tastemaker.data.rows import LabelledRows, load_rows
from tastemaker.errors import ConfigError, UserError
from tastemaker.evaluate.tradeoffs import Given, Side, Tradeoffs, multiplier, trade_offs
from tastemaker.experiment.any_config import read_any
from tastemaker.experiment.folder import CONFIG
from tastemaker.experiment.rank_config import RankConfig
from tastemaker.experiment.result import RunResult
from tastemaker.recommend.objective import Objective
from tastemaker.recommend.predictor import load_predictor

Combine = Literal["sum", "product"]


def side_of(side: LabelledRows, probabilities: np.ndarray) -> Side:
    """A side's rows as trade-offs read them."""
    return Side(probabilities, side.labels, side.groups)


def sides_of(folder: Path | str) -> tuple[dict[str, Side], tuple[str, ...]]:
    """The validation and test side of a finished run, and its labels: its rows are read anew and its predictor asked.

    Raises:
        UserError: no finished run of a ranker.
        ConfigError: it has one label, or classes of one.
        DataError: its rows cannot be read.
    """
    result = RunResult.read(folder)
    config = read_any(result.folder / CONFIG)
    if not isinstance(config, RankConfig):
        raise UserError(f"{str(folder)!r} trained {config.model_name}", expected="the run of a ranker")
    predictor = load_predictor(result.artifact)
    if predictor.classes or len(predictor.outputs) < 2:
        raise ConfigError(f"the label {', '.join(config.data.labels)}", expected="several labels to weigh")
    rows = load_rows(config.data, config.split, config.base)
    found = {}
    for name in ("validation", "test"):
        side = rows.sides[name]
        if len(side):
            found[name] = side_of(side, predictor.probabilities(predictor.logits(predictor.encoder.encode(side.table))))
    return found, predictor.outputs


def weigh(sides: dict[str, Side], labels: tuple[str, ...], combine: Combine = "sum", k: int | None = None) -> Tradeoffs:
    """`trade_offs` by an `Objective`."""

    def score(weights: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return _objective(dict(zip(labels, weights.tolist(), strict=True)), combine).score(probabilities, labels)

    return trade_offs(sides, labels, score, k=k)


def constrained(
    sides: dict[str, Side], labels: tuple[str, ...], maximise: str, floors: dict[str, float], k: int | None = None
) -> tuple[Objective, dict[str, Given]]:
    """The sum of two labels that gives most of one while lists give `floors` of the other on the first side, and what it gives on each side.

    Raises:
        ConfigError: a label is not known, there is not one floor on another label, or it is out of reach.
    """
    for name in (maximise, *floors):
        if name not in labels:
            raise ConfigError(f"no label {name!r}", expected=f"one of {', '.join(labels)}")
    if len(floors) != 1 or maximise in floors:
        raise ConfigError(
            f"floors on {', '.join(floors) or 'nothing'} while {maximise} is maximised", expected="one, on another label"
        )
    ((floored, floor),) = floors.items()
    chooser = next(iter(sides.values()))
    found = multiplier(chooser, labels.index(maximise), labels.index(floored), floor, k=k)
    objective = _objective({maximise: 1.0, floored: found}, "sum")
    return objective, {name: side.given(objective.score(side.probabilities, labels), k) for name, side in sides.items()}


def _objective(weights: dict[str, float], combine: Combine) -> Objective:
    return Objective.parse({"weights": weights, "combine": combine})
