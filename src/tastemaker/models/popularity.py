"""Popularity: what most people did, of late if asked so; the baseline that every other model has to beat."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import ConfigError
from tastemaker.models.base import Model, Query
from tastemaker.settings import Settings

_DAY = 86_400_000_000  # µs


class Popularity(Model):
    """An item's score is the number of its training events, each counted by the weight of its kind and by its age.

    The same for everybody: for known and unseen users and for a user with nothing. Age is measured from the newest training event.
    An item without events scores 0.
    """

    class Config(Settings):
        """Without a window and a half-life all time counts alike."""

        window_days: float | None = Field(default=None, gt=0, description="Count only the events of the last so many days.")
        half_life_days: float | None = Field(
            default=None, gt=0, description="An event this old counts half, one twice as old a quarter."
        )
        weighted: bool = Field(True, description="Count an event by the weight of its kind; false: each as 1.")

    solves = ("popular",)
    needs_history = False
    config: Config
    counts: Tensor
    """float32 (num_items,)"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.register_buffer("counts", torch.zeros(schema.num_items))

    def solve(self, interactions: Interactions) -> None:
        """Counts the events.

        Raises:
            ConfigError: a window or half-life is set, but the data has no times.
        """
        weight = interactions.weight.astype(np.float64) if self.config.weighted else np.ones(len(interactions))
        window, half_life = self.config.window_days, self.config.half_life_days
        if window is not None or half_life is not None:
            if not interactions.has_times:
                raise ConfigError(
                    "events without times",
                    expected="times, since model.window_days or model.half_life_days is set",
                    hint="name the time column in [data], or count all time",
                )
            age_days = (interactions.time.max() - interactions.time) / _DAY
            if window is not None:
                weight = weight * (age_days <= window)
            if half_life is not None:
                weight = weight * 0.5 ** (age_days / half_life)
        counts = np.bincount(interactions.item, weights=weight, minlength=self.schema.num_items)
        self.counts = torch.from_numpy(counts.astype(np.float32))

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        counts = self.counts if items is None else self.counts[items]
        return counts.repeat(len(query), 1)
