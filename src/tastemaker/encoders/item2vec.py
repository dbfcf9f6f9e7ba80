"""Vectors of items learned from what they are used with, as those of words from the texts they stand in."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.vocabulary import FIRST
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.skip_gram import SkipGram
from tastemaker.encoders.parts.version import version_of
from tastemaker.settings import Settings


class Item2Vec(Encoder):
    """Skip-gram with negative sampling over items (Barkan & Koenigstein 2016, "Item2vec").

    A user's history is a sequence of which items near each other in time are neighbours (as Grbovic et al. 2015, "E-commerce in your
    inbox", have it), or each basket is a set (what a user did at one and the same moment; all of it where there are no times) of which
    any two are neighbours, as in the paper. Vectors are of unit length. An item that nobody used has none; nor has one that comes later,
    since it reads no column: rows are places.
    """

    class Config(Settings):
        """How items are learned."""

        dim: int = Field(64, ge=1, description="length of a vector")
        unit: Literal["history", "basket"] = Field("history", description="within what items are neighbours")
        window: int = Field(5, ge=1, description="items up to this far apart are; of a basket so many are drawn on each side")
        negatives: int = Field(5, ge=1, description="items drawn against each neighbour")
        epochs: int = Field(20, ge=1, description="times the histories are read")
        subsample: float = Field(1e-3, ge=0, description="an item of a larger share is skipped now and then; 0: none is")
        min_events: int = Field(1, ge=1, description="events that an item must have")
        seed: int = Field(0, ge=0, description="of the first vectors and of what is drawn")

    reads = "use"
    config: Config
    vectors: Tensor
    """float32 (items, dim), zeros where an item has too few events"""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_data_buffer("vectors", ndim=2)

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        config = self.config
        real = (train.item >= FIRST) & (train.item < FIRST + len(items))
        counts = np.bincount(train.item[real] - FIRST, minlength=len(items))
        real[real] = counts[train.item[real] - FIRST] >= config.min_events
        places = train.item[real].astype(np.int64) - FIRST
        user, time = train.user[real], train.time[real]
        new = user[1:] != user[:-1]
        if config.unit == "basket":
            new |= time[1:] != time[:-1]
        offsets = np.concatenate([[0], np.flatnonzero(new) + 1, [len(places)]]) if len(places) else np.zeros(1, np.int64)
        learner = SkipGram(
            config.dim,
            config.window,
            config.negatives,
            config.epochs,
            config.subsample,
            config.seed,
            ordered=config.unit == "history",
        )
        vectors = learner.learn(places, offsets, len(items), progress)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        known = (counts >= config.min_events)[:, None] & (lengths > 0)
        self.vectors = torch.from_numpy(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=known))

    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        known = self.vectors.cpu().numpy()[: len(items)]
        values = np.zeros((len(items), self.config.dim), np.float32)
        values[: len(known)] = known
        return Vectors(values, np.any(values, axis=1))

    @property
    def version(self) -> str:
        return version_of(self)
