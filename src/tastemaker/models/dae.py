"""DAE: a denoising autoencoder of histories with a multinomial likelihood."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.nn.bags import HistoryBag
from tastemaker.settings import Settings


class Dae(RetrievalModel):
    """Mult-DAE: a user is a hidden state read from a history of which items are missing, and should predict all of it.

    Liang, Krishnan, Hoffman & Jebara 2018, "Variational autoencoders for collaborative filtering", section 2.3. The state is tanh of a
    linear layer on the normalised history; scores are a linear layer on it; `loss = "cross_entropy"` over the catalogue is the paper's
    multinomial likelihood, `train.weight_decay` its penalty on weights. One hidden layer, as in the paper.

    A user vector is the state and a 1, an item vector its row of the last layer and its bias, so items are searched as those of any
    retrieval model. Known and unseen users alike are what their history says; its order does not matter. A user with nothing gets
    what an empty history is decoded to.
    """

    class Config(Settings):
        """Settings of `dae`."""

        dim: int = Field(200, gt=0, description="size of the hidden state")
        dropout: float = Field(0.5, ge=0, lt=1, description="share of a history that is left out in training")

    learns_from = "baskets"
    solves = ("two_tastes",)
    train_defaults: ClassVar = {"loss": "cross_entropy", "optimizer": "adam", "learning_rate": 0.002, "schedule": "linear"}
    config: Config

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.history = HistoryBag(schema.num_items, config.dim, config.dropout)
        self.output = nn.Parameter(torch.empty(schema.num_items, config.dim + 1))
        """The last layer; the last number of a row is the item's bias."""
        nn.init.normal_(self.output, std=(2 / (schema.num_items + config.dim)) ** 0.5)
        nn.init.zeros_(self.output[:, -1:])

    def encode_user(self, query: Query) -> Tensor:
        hidden = torch.tanh(self.history(query.items, query.rows, len(query)))
        return torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1)

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        return self.output if codes is None else self.output[codes]
