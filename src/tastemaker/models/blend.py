"""Blend: several models asked at once, their scores brought to one scale and added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError
from tastemaker.models.base import Model, Query, Solvable
from tastemaker.resolve import model_class
from tastemaker.settings import Settings


class Part(Settings):
    """A model of a blend."""

    model: str = Field(description="a name that `tastemaker models` lists")
    weight: float = Field(1.0, gt=0, description="how much its standardised score counts")
    settings: dict[str, Any] = Field(default_factory=dict, description="as in its own `[model]` section")
    train: dict[str, Any] = Field(default_factory=dict, description="as in its own `[train]` section")

    @field_validator("model")
    @classmethod
    def _no_blend(cls, name: str) -> str:
        if name == "blend":
            raise ValueError("a model that is no blend itself")
        return name

    @property
    def config(self) -> Settings:
        """The checked `[model]` section."""
        found: Settings = model_class(self.model).Config.parse(self.settings, f"model.parts.{self.model}")
        return found


class Blend(Model):
    """Score = Σ w · (s - mean(s)) / sd(s) over the parts, mean and deviation taken over the catalogue for each user anew.

    Weighted linear combination of standardised scores ("CombSUM" of Fox & Shaw 1994, "Combination of Multiple Searches", with the
    normalisation of Montague & Aslam 2001, "Relevance score normalization for metasearch"). A part that scores all items alike for a
    user says nothing about that user. Each part is fitted on its own; one that is trained by gradients as its own `train` says.

    Known and unseen users are what the parts take them for; so is a user with nothing.
    """

    class Config(Settings):
        """The parts; each is configured as if it stood alone."""

        parts: tuple[Part, ...] = Field(
            (Part(model="ease", weight=1.0), Part(model="item_knn", weight=1.0)),
            min_length=1,
            description='such as `[{ model = "ease", weight = 0.6 }, { model = "sasrec", settings = { dim = 32 }, train = { epochs = 9 } }]`',
        )

        @field_validator("parts")
        @classmethod
        def _sound(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
            for part in parts:
                part.config  # noqa: B018  (checks it)
            return parts

    solves = ("two_tastes",)
    config: Config

    def __init__(self, config: Config, schema: FeatureSchema, parts: Sequence[Model] | None = None) -> None:
        """`parts` are models that were fitted with the settings of `config`; without them fresh ones are made."""
        super().__init__(config, schema)
        self.parts = nn.ModuleList(parts or [self._fresh(part) for part in config.parts])

    @property
    def models(self) -> list[Model]:
        """The parts, in the order of the config."""
        return [cast(Model, part) for part in self.parts]

    def _fresh(self, part: Part) -> Model:
        torch.manual_seed(part.train.get("seed", 0))  # the first weights are those the part would have alone
        made: Model = model_class(part.model)(part.config, self.schema)
        return made

    @classmethod
    def adapt(cls, config: Config, interactions: Interactions, loss: str | None = None) -> Config:
        """Each part's open settings are chosen as if it stood alone."""
        adapted = []
        for part in config.parts:
            chosen = model_class(part.model).adapt(part.config, interactions, part.train.get("loss"))
            settings = chosen.model_dump(mode="json", exclude_unset=True, exclude_none=True)
            adapted.append(part.model_copy(update={"settings": settings}))
        return config.model_copy(update={"parts": tuple(adapted)})

    def weighted(self, weights: Sequence[float]) -> Self:
        """The same fitted parts under other weights."""
        parts = tuple(
            part.model_copy(update={"weight": weight}) for part, weight in zip(self.config.parts, weights, strict=True)
        )
        return type(self)(self.config.model_copy(update={"parts": parts}), self.schema, self.models).eval()

    def solve(self, interactions: Interactions) -> None:
        """Solves the parts one after the other.

        Raises:
            ConfigError: a part is trained by gradients; `tastemaker train` fits it.
        """
        for part, model in zip(self.config.parts, self.models, strict=True):
            if not isinstance(model, Solvable):
                raise ConfigError(
                    f"part {part.model!r}", expected="a model solved in one step", hint="`tastemaker train` fits any part"
                )
            model.solve(interactions)

    def forget(self) -> None:
        for part in self.models:
            part.forget()

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        total = sum(
            part.weight * _standardised(model.score(query)) for part, model in zip(self.config.parts, self.models, strict=True)
        )
        assert isinstance(total, Tensor)
        return total if items is None else total[:, items]


def _standardised(scores: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over the real items of each row; a constant row becomes zeros."""
    real = scores[:, FIRST:]
    mean = real.mean(dim=1, keepdim=True)
    deviation = (real - mean).square().mean(dim=1, keepdim=True).sqrt()
    constant = deviation <= 1e-6 * mean.abs()
    return torch.where(constant, 0.0, (scores - mean) / deviation.masked_fill(constant, 1.0))
