"""What models are told of the contents of items: a vector a modality (text, image, attributes …), and which items have one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from tastemaker.settings import Settings

Fusion = Literal["concat", "outer", "gated", "attention"]


class FusionSettings(Settings):
    """How ids and modalities become one vector."""

    fusion: Fusion = Field("gated", description="how the modalities of an item become one vector")
    ids: bool = Field(True, description="whether an item has a vector of its own beside its contents")
    id_dropout: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="share of items whose own vector is hidden in a training step, so that contents alone must do",
    )
    warm_up: float = Field(
        0.0,
        ge=0,
        description="training events after which an item's own vector counts half: contents lead until then; 0: it counts from the first on",
    )
    modality_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of items a modality of which is hidden in a training step"
    )
    rank: int = Field(4, ge=1, description='of fusion = "outer": products that are summed')
    dropout: float = Field(0.0, ge=0, lt=1, description="of the vectors of modalities")
    pretrain_epochs: int = Field(
        0,
        ge=0,
        description="epochs in which modalities learn to agree, and things taken one after the other, before training begins",
    )


class ModalityConfig(Settings):
    """A `[content.modalities.NAME]` section: columns of the catalogue, and what makes a vector of them."""

    encoder: str = Field(description="a name that `tastemaker encoders` lists")
    columns: tuple[str, ...] = Field((), description="columns of the catalogue it reads; none for one that reads use")
    settings: dict[str, Any] = Field(default_factory=dict, description="of the encoder")


class ContentConfig(FusionSettings):
    """The `[content]` section: what models are told of the items' contents, and how it becomes part of their vectors."""

    modalities: dict[str, ModalityConfig] = Field(default_factory=dict, description="by a name of your choice")

    @field_validator("modalities")
    @classmethod
    def _plain_names(cls, given: dict[str, ModalityConfig]) -> dict[str, ModalityConfig]:
        for name in given:
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"letters, digits, - and _ in the name of a modality, not {name!r}")
        return given

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.model_fields_set - {"modalities"} and not self.modalities:
            raise ValueError("a section [content.modalities.NAME] or more, as there is nothing to fuse without one")
        return self

    @property
    def fusion_settings(self) -> FusionSettings:
        """What models are built from."""
        return FusionSettings(**{name: getattr(self, name) for name in FusionSettings.model_fields})


@dataclass(frozen=True)
class ContentSchema:
    """What a model needs to know of contents to be built."""

    modalities: tuple[tuple[str, int], ...]
    """name and length of the vectors of each"""
    settings: FusionSettings


@dataclass(frozen=True, eq=False)
class ItemContents:
    """The vectors themselves, a row per item code (PAD and UNKNOWN have none)."""

    values: Mapping[str, np.ndarray]
    """float32 (num_items, dim) of each modality"""
    present: Mapping[str, np.ndarray]
    """bool (num_items,) of each modality"""
    settings: FusionSettings
    encoding: Any = None
    """what made them, `recommend.encoding.Encoding`, for items that come later"""

    @property
    def schema(self) -> ContentSchema:
        """What a model needs to know to be built."""
        return ContentSchema(tuple((name, int(rows.shape[1])) for name, rows in self.values.items()), self.settings)
