"""XSimGCL: LightGCN under random noise, with two of its layers contrasted."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.matching import Likeness, Matching, suited_to_loss
from tastemaker.nn.propagation import Propagation, Sides
from tastemaker.settings import Settings


class XSimGCL(RetrievalModel):
    """Score = e_u · e_i, the means of layers 1…K of embeddings that take K steps over the graph, each disturbed in training.

    Yu, Xia, Chen, Cui, Hung & Yin 2023, "XSimGCL: towards extremely simple graph contrastive learning for recommendation": after each
    step a vector moves by `noise`, in a random direction of its own orthant; and the batch's users and items find themselves, by
    InfoNCE, between layer `contrast_layer` and the mean. Deviations: unless `[train] loss` says `"bpr"`, which the paper has, the loss is
    cross-entropy over the catalogue, of cosines over a temperature plus an item's bias (as in `mf`); `contrasted` of the batch's users and of its items, drawn
    at random, are contrasted where there are more, since that costs their square.

    A user is the sum of what the history's items send: known and unseen users alike. A user with nothing gets the mean user's vector.
    """

    class Config(Settings):
        """Settings of `xsimgcl`."""

        dim: int = Field(128, gt=0, description="size of user and item vectors")
        layers: int = Field(2, ge=1, description="steps over the graph")
        init: float = Field(0.1, gt=0, description="standard deviation of the first embeddings")
        similarity: Likeness | None = Field(
            None, description="of user and item vectors; unset: cosine for a softmax, dot for other losses"
        )
        temperature: float = Field(0.1, gt=0, description="what cosines are divided by")
        item_bias: bool | None = Field(None, description="whether an item has a bias beside its vector; unset: for a softmax")
        noise: float = Field(0.1, ge=0, description="length of the noise after each step")
        contrast: float = Field(0.1, ge=0, description="weight of the contrast; 0 is none")
        contrast_layer: int = Field(1, ge=0, description="layer that is contrasted with the mean; 0 is before the first step")
        contrast_temperature: float = Field(0.2, gt=0, description="what cosines in the contrast are divided by")
        contrasted: int = Field(2048, ge=2, description="users, and items, in the contrast of a step, at most")

        @model_validator(mode="after")
        def _is_a_layer(self) -> Self:
            if self.contrast_layer > self.layers:
                raise ValueError(f"contrast_layer up to layers = {self.layers}, not {self.contrast_layer}")
            return self

    learns_from = "pairs"
    solves = ("two_tastes",)
    train_defaults: ClassVar = {"optimizer": "adam", "learning_rate": 0.01, "schedule": "linear"}

    config: Config

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.walker = Propagation(schema, config.dim, config.layers, first=False, init=config.init)
        self.matching = Matching(schema.num_items, config.similarity, config.temperature, item_bias=config.item_bias is True)
        self._step: tuple[Sides, Sides] | None = None

    @classmethod
    def adapt(cls, config: Config, interactions: Interactions, loss: str | None = None) -> Config:
        return config.model_copy(update=suited_to_loss(config.similarity, config.item_bias, loss))

    def observe(self, interactions: Interactions) -> None:
        self.walker.graph.connect(interactions.matrix(self.schema.num_users, self.schema.num_items))
        self.forget()

    def forget(self) -> None:
        self._step = None
        self.walker.forget()

    def encode_batch(self, batch: Batch) -> Encoded:
        users = batch.query.users
        penalty = None
        if self.config.contrast:
            mean, layer = self._walked()
            apart = self._contrast(users, mean[0], layer[0]) + self._contrast(batch.targets, mean[1], layer[1])
            penalty = self.config.contrast * apart
        return Encoded(self.matching.of_users(self._walked()[0][0].index_select(0, users)), batch.rows, penalty=penalty)

    def encode_user(self, query: Query) -> Tensor:
        return self.matching.of_users(self.walker.users_now(query.users, query.matrix(self.schema.num_items)))

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        table = self._walked()[0][1] if self.training else self.walker.items_now()
        return self.matching.of_items(table, codes)

    def _walked(self) -> tuple[Sides, Sides]:
        """The mean of the layers, and the one that is contrasted with it."""
        if self._step is None:
            found = self.walker.walk(self._disturbed if self.config.noise else None)
            self._step = self.walker.mean(found), found[self.config.contrast_layer]
        return self._step

    def _disturbed(self, vectors: Tensor) -> Tensor:
        away = F.normalize(torch.rand_like(vectors), dim=1).mul_(self.config.noise)
        return vectors + away.copysign_(vectors.detach())

    def _contrast(self, codes: Tensor, mean: Tensor, layer: Tensor) -> Tensor:
        """InfoNCE of the rows `codes` between two views."""
        codes, most = codes.unique(), self.config.contrasted
        if len(codes) > most:
            codes = codes[torch.randperm(len(codes), device=codes.device)[:most]]
        one, other = (F.normalize(view.index_select(0, codes), dim=1) for view in (mean, layer))
        places = torch.arange(len(codes), device=codes.device)
        return F.cross_entropy(one @ other.T / self.config.contrast_temperature, places)
