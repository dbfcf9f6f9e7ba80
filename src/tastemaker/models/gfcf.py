"""GF-CF: collaborative filtering as a fixed low-pass filter on the graph, in closed form."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Model, Query
from tastemaker.nn.lowpass import LowPass
from tastemaker.settings import Settings


class GFCF(Model):
    """Score = h (R̃ᵀR̃ + α D^-½ V Vᵀ D^½), h being the history as a 0/1 row, V the leading singular vectors of R̃, D the items' degrees.

    Shen, Wu, Zhang, Shan, Zhang, Letaief & Li 2021, "How powerful is graph convolution for recommendation?", eq. 10 and 11: a linear
    filter over the neighbours plus an ideal low-pass filter. V comes from a randomised decomposition.

    Known and unseen users alike are what their history says; its order does not matter. A user with nothing gets the popularity order
    (scores: the share of users that have the item).
    """

    class Config(Settings):
        """Settings of `gfcf`."""

        factors: int = Field(default=256, ge=1, description="Singular vectors that the ideal low-pass filter lets through.")
        alpha: float = Field(default=0.3, ge=0, description="Weight of the ideal low-pass filter.")

    solves = ("two_tastes",)
    config: Config

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.filter = LowPass(schema.num_users, schema.num_items)

    def solve(self, interactions: Interactions) -> None:
        self.filter.fit(interactions.matrix(*self.filter.graph.shape), self.config.factors)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        scores = self.filter.scores(query.matrix(self.schema.num_items), self._blur)
        return scores if items is None else scores[:, items]

    def _blur(self, columns: Tensor) -> Tensor:
        return self.filter.graph.smooth(columns) + self.config.alpha * self.filter.ideal(columns)

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        """float32 (events,)."""
        asked = torch.zeros(self.schema.num_items, len(query), device=items.device)
        asked[items, torch.arange(len(query), device=items.device)] = 1.0
        back = self.filter.graph.smooth(asked) + self.config.alpha * self.filter.ideal_back(asked)
        return back[query.items, query.rows] * query.shares(self.schema.num_items)
