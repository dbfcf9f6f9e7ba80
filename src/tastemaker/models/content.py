"""Content: users are what the things in their history are made of, items what they are made of; no item has a vector of its own."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import content_table
from tastemaker.nn.prefix_attention import PrefixAttention, running_mean
from tastemaker.nn.started import Started


class Content(TokenModel):
    """Attention over the contents of the history, and the newest of them; trained on the next item after every event.

    The content-based user model of news recommenders, a news encoder and a user encoder by attention (Wu et al. 2019, "Neural news
    recommendation with attentive multi-view learning", §2.2), for any modalities and their fusion (`[content]`). Deviations: a user is
    O a + L x + x̄ with a the attention over the history (`nn.prefix_attention`), x the newest content and x̄ the mean; every event is a target, and the
    softmax is over all items with an event instead of four drawn ones.

    An item is the fused vector of its contents and nothing else, so one that nobody has touched is as well known as any, and every item
    that comes later (`grown`) is encoded alike. An item without contents has a vector of zeros. Without `[content]`, which only Python allows, items are their codes. Known and unseen
    users alike are what their history says; a user with nothing gets what anyone begins with.
    """

    class Config(TokenModel.Config):
        """Settings of `content`."""

        similarity: Literal["dot", "cosine"] = Field("cosine", description="of user and item vectors")
        heads: int = Field(4, ge=1, description="of attention: what each looks for in a history")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of what is read; unset: more on sparser data")

    needs_contents = True
    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = content_table(schema, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.norm_input = nn.LayerNorm(config.dim)
        self.attention = PrefixAttention(config.dim, config.heads)
        self.out, self.last = nn.Linear(config.dim, config.dim), nn.Linear(config.dim, config.dim)
        self.dropout = Dropout(config.dropout)

    def states(self, rows: Started) -> Tensor:
        tokens = self.dropout(self.norm_input(rows.vectors(self.item_embedding, self.start)))
        mean = running_mean(tokens, rows.offsets)
        return cast(Tensor, self.out(self.attention(tokens, rows.offsets)) + self.last(tokens) + mean)
