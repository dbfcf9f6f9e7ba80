"""Blend: several models asked at once, their scores brought to one scale and added up, under given or learned weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, cast

import pyarrow as pa
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.item_contents import ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError
from tastemaker.models.base import Model, Query, Solvable
from tastemaker.resolve import model_class
from tastemaker.settings import Settings

KNOTS = (0, 3, 15, 63, 255)
"""History lengths at which a gate has weights of its own; between two they go from one to the other with log(1 + length)."""


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

    Weights are given with the parts, or learned on the validation side once the parts are fitted on the training side
    (`experiment/stacking.py`): stacking, Wolpert 1992, "Stacked generalization". With a gate they depend on how long the history is:

    ```
    w(length) = Σ φ_k(length) · w_k        φ: hat functions of log(1 + length) that peak at the `KNOTS` and sum to 1
    ```
    which is feature-weighted linear stacking (Sill, Takács, Mackey & Lin 2009) with φ as the meta-features. So those with a short history
    may be told what is popular, those with a long one what their order of things suggests. Deviation from gates that are a softmax over
    parts: weights need not sum to 1, which keeps the learning convex and lets the blend be more certain of some users than of others.

    Known and unseen users are what the parts take them for; so is a user with nothing.
    """

    class Config(Settings):
        """The parts; each is configured as if it stood alone."""

        parts: tuple[Part, ...] = Field(
            (Part(model="ease", weight=1.0), Part(model="item_knn", weight=1.0)),
            min_length=1,
            description='such as `[{ model = "ease", weight = 0.6 }, { model = "sasrec", settings = { dim = 32 }, train = { epochs = 9 } }]`',
        )
        weights: Literal["fixed", "learned"] = Field(
            "fixed",
            description='"fixed": those of the parts. "learned": what makes the validation side likeliest, none below 0.',
        )
        gate: Literal["none", "length"] = Field(
            "none", description='Learned weights that depend on how much is known of a user: "length", of the history.'
        )
        l2: float = Field(
            1.0,
            ge=0,
            description="Pulls learned weights towards 0, and those of a gate ten times as much towards their neighbours; in units of one user's likelihood.",
        )

        @field_validator("parts")
        @classmethod
        def _sound(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
            for part in parts:
                part.config  # noqa: B018  (checks it)
            return parts

        @model_validator(mode="after")
        def _all_have_effect(self) -> Self:
            if self.weights == "learned":
                if idle := next((part for part in self.parts if part.weight != 1), None):
                    raise ValueError(f"no weight of {idle.model!r}: weights are learned")
            elif self.gate != "none" or self.l2 != 1:
                raise ValueError('weights = "learned", as a gate and l2 have no effect on fixed ones')
            return self

    solves = ("two_tastes",)
    config: Config
    learned: Tensor
    """float32 (knots, parts): weights at each knot, a single row without a gate; (0, 0) until they are learned"""

    def __init__(self, config: Config, schema: FeatureSchema, parts: Sequence[Model] | None = None) -> None:
        """`parts` are models that were fitted with the settings of `config`; without them fresh ones are made."""
        super().__init__(config, schema)
        if config.weights == "learned":
            self.register_data_buffer("learned", ndim=2)
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

    def observe_catalogue(self, catalogue: pa.Table) -> None:
        for model in self.models:
            model.observe_catalogue(catalogue)

    def observe_contents(self, contents: ItemContents, interactions: Interactions) -> None:
        for model in self.models:
            model.observe_contents(contents, interactions)

    @property
    def reads_contents(self) -> bool:
        return any(model.reads_contents for model in self.models)

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

    def standardised(self, query: Query) -> Tensor:
        """What each part says, on one scale: float32 (parts, batch, num_items)."""
        return torch.stack([_standardised(model.score(query)) for model in self.models])

    def knots(self, query: Query) -> Tensor:
        """How much each row of `learned` counts for each user: float32 (batch, knots), rows that sum to 1. Only known items count as history."""
        lengths = query.known().lengths
        if self.config.gate == "none":
            return torch.ones(len(lengths), 1, device=lengths.device)
        at = torch.tensor(KNOTS, device=lengths.device).log1p()
        place = lengths.log1p().clamp(max=float(at[-1]))[:, None]
        below = ((place - at[:-1]) / at.diff()).clamp(0, 1)  # how far each stretch between two knots is behind
        ends = torch.ones_like(place), torch.zeros_like(place)
        return torch.cat([ends[0], below], dim=1) - torch.cat([below, ends[1]], dim=1)

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        """As if all weights were 1 until those that are to be learned are."""
        if self.config.weights == "learned" and len(self.learned):
            weights = (self.knots(query) @ self.learned).T  # (parts, batch)
        else:
            given = torch.tensor([part.weight for part in self.config.parts], device=query.users.device)
            weights = given[:, None].expand(-1, len(query))
        total = torch.zeros(len(query), self.schema.num_items, device=query.users.device)
        for weight, model in zip(weights, self.models, strict=True):
            total += weight[:, None] * _standardised(model.score(query))
        return total if items is None else total[:, items]


def _standardised(scores: Tensor) -> Tensor:
    """Mean 0 and deviation 1 over the real items of each row; a constant row becomes zeros."""
    real = scores[:, FIRST:]
    mean = real.mean(dim=1, keepdim=True)
    deviation = (real - mean).square().mean(dim=1, keepdim=True).sqrt()
    constant = deviation <= 1e-6 * mean.abs()
    return torch.where(constant, 0.0, (scores - mean) / deviation.masked_fill(constant, 1.0))
