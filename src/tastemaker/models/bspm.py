"""BSPM: the history is blurred over the graph, then sharpened, by two differential equations; nothing is trained."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Model, Query
from tastemaker.nn.lowpass import LowPass
from tastemaker.settings import Settings


class BSPM(Model):
    """Score = S(B(h)): h the history as a 0/1 row, B two blurs, S a sharpening.

    Choi, Hong, Park & Cho 2023, "Blurring-sharpening process models for collaborative filtering", with the authors' settings for
    Gowalla as defaults ("early merge"). Blur: one Euler step of dh/dt = h(P - I), which is hP, plus `ideal_weight` × the ideal low-pass filter of
    `gfcf`. Sharpening: dh/dt = -hP from 0 to `sharpening_time`, in `sharpening_steps` equal steps of the solver. The equation is linear, so
    a step of length t multiplies by Σ (-tP)ⁿ / n!, n ≤ 1 for Euler, ≤ 4 for Runge-Kutta. Not taken over: blurring in more than one
    step, and means over points of time, which the paper uses on other data.

    Known and unseen users alike are what their history says; its order does not matter. A user with nothing gets the popularity order
    (scores: the share of users that have the item).
    """

    class Config(Settings):
        """Settings of `bspm`."""

        factors: int = Field(default=448, ge=1, description="Singular vectors that the ideal low-pass filter lets through.")
        ideal_weight: float = Field(default=0.2, ge=0, description="Weight of the ideal low-pass filter.")
        sharpening_time: float = Field(default=2.5, ge=0, description="How long to sharpen; 0 is not at all.")
        sharpening_steps: int = Field(default=1, ge=1, description="Steps of the solver.")
        solver: Literal["euler", "rk4"] = Field("rk4", description="Order of a sharpening step: 1 or 4.")

    solves = ("two_tastes",)
    config: Config

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.filter = LowPass(schema.num_users, schema.num_items)

    def solve(self, interactions: Interactions) -> None:
        self.filter.fit(interactions.matrix(*self.filter.graph.shape), self.config.factors)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        scores = self.filter.scores(query.matrix(self.schema.num_items), self._blur_and_sharpen)
        return scores if items is None else scores[:, items]

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        """float32 (events,): P is symmetric, so the filter is run backwards from the item that is scored."""
        asked = torch.zeros(self.schema.num_items, len(query), device=items.device)
        asked[items, torch.arange(len(query), device=items.device)] = 1.0
        sharp = self._sharpen(asked)
        back = self.filter.graph.smooth(sharp) + self.config.ideal_weight * self.filter.ideal_back(sharp)
        return back[query.items, query.rows] * query.shares(self.schema.num_items)

    def _blur_and_sharpen(self, columns: Tensor) -> Tensor:
        return self._sharpen(self.filter.graph.smooth(columns) + self.config.ideal_weight * self.filter.ideal(columns))

    def _sharpen(self, columns: Tensor) -> Tensor:
        config = self.config
        step = config.sharpening_time / config.sharpening_steps
        for _ in range(config.sharpening_steps if step else 0):
            term, total = columns, columns
            for power in range(1, 5 if config.solver == "rk4" else 2):
                term = self.filter.graph.smooth(term) * (-step / power)
                total = total + term
            columns = total
        return columns
