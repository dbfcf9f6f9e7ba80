"""What models that read reviews share: biases beside the text, and documents without what is to be predicted."""

from __future__ import annotations

import abc
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.biases import Biases
from tastemaker.nn.documents import Side
from tastemaker.nn.review_readers import DocumentSettings, ReviewReader


class ReviewModel(RetrievalModel):
    """Predicts μ + b_u + b_i + f_u + f_i + x_u · y_i, f and x read from the user's document, f and y from the item's."""

    class Config(DocumentSettings):
        """Settings that models of reviews share."""

        user_regularization: float = Field(6.0, gt=0, description="ridge of the users' biases")
        item_regularization: float = Field(10.0, gt=0, description="ridge of the items' biases")

    learns_from = "pairs"
    needs_reviews = True

    def __init__(self, config: Config, schema: FeatureSchema, reader: Literal["cnn", "bilstm", "frozen"]) -> None:
        super().__init__(config, schema)
        sizes = schema.num_users, schema.num_items
        self.biases = Biases(*sizes, config.user_regularization, config.item_regularization)
        self.reader = ReviewReader(reader, config, *sizes)
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    @abc.abstractmethod
    def _side(self, side: Side, codes: Tensor, apart_from: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What the documents of users say, x, (n, dim), and f, (n,); or the same of items. See `Documents.of`."""

    def observe(self, interactions: Interactions) -> None:
        self.biases.observe(interactions)
        self.reader.observe(interactions)
        self.forget()

    def forget(self) -> None:
        self._kept = {}

    def encode_batch(self, batch: Batch) -> Encoded:
        users = batch.query.users if batch.rows is None else batch.query.users[batch.rows]
        items = batch.targets
        usual, bias = self.biases.apart(users, items, batch.values)
        return Encoded(
            self._of_users(usual, *self._side("user", users, items)),
            items=self._of_items(bias, *self._side("item", items, users)),
        )

    def encode_user(self, query: Query) -> Tensor:
        query = query.known()
        usual = self.biases.of_users(query.users, query.rows, query.items, query.values)
        return self._of_users(usual, *self._known("user", query.users))

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        codes = torch.arange(self.schema.num_items, device=self.biases.item.device) if codes is None else codes
        flat = codes.flatten()
        found = self._of_items(self.biases.item[flat], *self._known("item", flat))
        return found.view(*codes.shape, found.shape[1])

    def score_each(self, query: Query, items: Tensor, rows: Tensor | None = None, times: Tensor | None = None) -> Tensor:
        return self.biases.within(super().score_each(query, items, rows, times))

    def _known(self, side: Side, codes: Tensor) -> tuple[Tensor, Tensor]:
        """As `_side`, with nothing left out; computed for all at once and kept until weights change."""
        if self.training:
            return self._side(side, codes)
        if side not in self._kept:
            size = self.schema.num_users if side == "user" else self.schema.num_items
            self._kept[side] = self._side(side, torch.arange(size, device=codes.device))
        vectors, direct = self._kept[side]
        return vectors[codes], direct[codes]

    @staticmethod
    def _of_users(usual: Tensor, vectors: Tensor, direct: Tensor) -> Tensor:
        return torch.cat([vectors, torch.stack([usual + direct, torch.ones_like(usual)], dim=1)], dim=1)

    @staticmethod
    def _of_items(bias: Tensor, vectors: Tensor, direct: Tensor) -> Tensor:
        return torch.cat([vectors, torch.stack([torch.ones_like(bias), bias + direct], dim=1)], dim=1)
