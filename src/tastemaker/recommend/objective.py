"""Objective: how the probabilities of several labels become the one score that a list is ordered by. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from tastemaker.errors import ConfigError, DataError
from tastemaker.settings import Settings

LEAST = 1e-9
"""The least probability in a product, so that one that is 0 leaves the others something to say."""


class Objective(Settings):
    """What a list is ordered by, of a row's probabilities p of several labels; an objective for each scenario, such as a home page and a checkout.

    | combine   | order of                                          | choose it where                                                       |
    |-----------|---------------------------------------------------|-----------------------------------------------------------------------|
    | `sum`     | Σ w p                                             | a label has a worth: w is what a click, a purchase earns; below 0, costs |
    | `product` | Π p^w, as Σ w log p, p no less than 1e-9          | labels differ in scale, or all have to be good: 1 % more of p is w % more |

    A label that is not named counts nothing. Rows with a probability below a floor keep their order, behind all rows that reach every floor.
    """

    weights: dict[str, float] = Field(min_length=1, description="of each label's probability; below 0 where less is better")
    combine: Literal["sum", "product"] = Field("sum", description="of the weighted probabilities, or of their powers")
    floors: dict[str, float] = Field(
        default_factory=dict, description="the least probability of a label with which a row stands before those below it"
    )

    @field_validator("weights")
    @classmethod
    def _weigh(cls, weights: dict[str, float]) -> dict[str, float]:
        if not np.isfinite(list(weights.values())).all() or not any(weights.values()):
            raise ValueError("finite weights, one of them other than 0")
        return weights

    @model_validator(mode="after")
    def _probable(self) -> Self:
        for name, floor in self.floors.items():
            if not 0 <= floor <= 1:
                raise ValueError(f"a floor in 0…1 for {name!r}, not {floor}")
        return self

    @classmethod
    def of(cls, text: str) -> Objective:
        """The sum that a text such as "click=1,buy=4" asks for.

        Raises:
            ConfigError: it is no such text.
        """
        weights: dict[str, float] = {}
        for part in text.split(","):
            name, equals, value = part.rpartition("=")
            try:
                weights[name.strip()] = float(value)
            except ValueError:
                equals = ""
            if not equals or not name.strip():
                raise ConfigError(f"objective {text!r}", expected="weights such as click=1,buy=4")
        return cls.parse({"weights": weights}, "objective")

    def check(self, labels: Sequence[str]) -> None:
        """Raises ConfigError where a label is named that is not among these."""
        for name in (*self.weights, *self.floors):
            if name not in labels:
                raise ConfigError(f"an objective of {name!r}", expected=f"one of {', '.join(labels)}")

    def score(self, probabilities: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """float64 (rows,): higher comes first; equal rows stay equal.

        Args:
            probabilities: (rows, labels), in 0…1.
            labels: what each column is of.

        Raises:
            ConfigError: a label is not among them.
            DataError: not a column a label, or no probabilities.
        """
        self.check(labels)
        found = np.asarray(probabilities, dtype=np.float64)
        if found.ndim != 2 or found.shape[1] != len(labels):
            raise DataError(f"probabilities {found.shape}", expected=f"(rows, {len(labels)}): {', '.join(labels)}")
        wrong = ~((found >= 0) & (found <= 1)).all(axis=1)
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"{found[row].tolist()} in row {row}", expected="probabilities in 0…1", hint="are these logits?")
        weights = np.array([self.weights.get(name, 0.0) for name in labels])
        floors = np.array([self.floors.get(name, 0.0) for name in labels])
        if self.combine == "sum":
            scores, reach = found @ weights, np.abs(weights).sum()
        else:
            scores, reach = np.log(np.maximum(found, LEAST)) @ weights, -np.log(LEAST) * np.abs(weights).sum()
        below = (found < floors).any(axis=1)
        return np.where(below, scores - 2 * reach - 1, scores)

    def logarithmic(self, probabilities: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """`score` on a scale on which adding log f makes an item worth f times as much, float64 (rows,): the order is the same.

        A sum of weights of 0 or more becomes its logarithm, a product is one already. A sum with costs or with floors has no such scale and stays
        as it is.
        """
        found = self.score(probabilities, labels)
        plain = self.combine == "sum" and not self.floors and min(self.weights.values()) >= 0
        return np.log(np.maximum(found, LEAST)) if plain else found


def parse_objectives(
    tree: Mapping[str, Any], labels: Sequence[str] | None, section: str = "objectives"
) -> dict[str, Objective]:
    """The `[objectives.NAME]` sections of a config; `labels` are those that may be named, None for any.

    Raises:
        ConfigError: one is no section, or names an unknown label.
    """
    found = {}
    for name, values in tree.items():
        if not isinstance(values, Mapping):
            raise ConfigError(f"{section}.{name} = {values!r}", expected=f"a section [{section}.{name}]")
        found[name] = Objective.parse(values, f"{section}.{name}")
        if labels is not None:
            found[name].check(labels)
    return found
