"""SASRec: self-attention over the user's history, in order."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query, SequenceModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.ragged import Packing, positions_from_end
from tastemaker.nn.transformer import Block
from tastemaker.settings import Settings


class SASRec(SequenceModel):
    """Self-attentive sequential recommendation (Kang & McAuley 2018), trained on the next item after every event.

    A user is the transformer's state after the newest event; an item is its embedding, shared with the input. Deviations from the
    paper: pre-norm blocks with GELU, a layer norm on the embeddings (where the paper multiplies them by √dim: without either the blocks
    drown out what the item is), positions counted from the newest event, and by default cross-entropy over the whole catalogue
    instead of one sampled negative (Klenitskiy & Vasilev 2023), which matters more than the architecture.

    Every history begins with a learned start token, so the first event is a target too and a user with nothing gets a list: what
    anyone's first event is likely to be.
    """

    class Config(Settings):
        """Settings of `sasrec`."""

        dim: int = Field(64, gt=0, description="size of item and user vectors")
        blocks: int = Field(2, ge=1, description="transformer blocks")
        heads: int = Field(2, ge=1, description="attention heads")
        hidden: int = Field(1, ge=1, description="width of the perceptron, in multiples of dim")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each block; unset: more on sparser data")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.item_embedding = nn.Embedding(schema.num_items, config.dim)
        self.position_embedding = nn.Embedding(config.max_length + 1, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, config.hidden * config.dim, config.dropout) for _ in range(config.blocks)
        )
        self.norm_input = nn.LayerNorm(config.dim)
        self.norm = nn.LayerNorm(config.dim)
        self.dropout = Dropout(config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Embedding | nn.Linear):
                nn.init.normal_(module.weight, std=config.init)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    @classmethod
    def adapt(cls, config: Config, interactions: Interactions, loss: str | None = None) -> Config:
        """Length: what 19 of 20 users need, 10 … 200. Dropout: .5 where items have 16 events each, down to .1 where they have 100."""
        lengths = np.bincount(interactions.user)
        per_item = len(interactions) / max(1, len(np.unique(interactions.item)))
        scarcity = 1 - np.log(max(per_item, 1.0) / 16) / np.log(100 / 16)
        chosen = {
            "max_length": int(np.clip(np.quantile(lengths[lengths > 0], 0.95), 10, 200)) if len(interactions) else 10,
            "dropout": round(float(np.clip(0.1 + 0.4 * scarcity, 0.1, 0.5)), 2),
        }
        return config.model_copy(update={key: value for key, value in chosen.items() if key not in config.model_fields_set})

    def encode_before(self, query: Query) -> Tensor:
        starts = query.offsets[:-1][query.lengths > 0]
        tokens, packing = self._tokens(query.items.roll(1), starts, query.offsets), Packing.of(query.offsets)
        for block in self.blocks:
            tokens = block(tokens, packing)
        return self.norm(tokens)

    def encode_user(self, query: Query) -> Tensor:
        query = query.known().last(self.config.max_length)
        bounds, device = query.offsets.cpu().numpy(), query.items.device
        places = np.arange(len(query.items)) + np.repeat(np.arange(1, len(bounds)), np.diff(bounds))
        offsets = torch.from_numpy(bounds + np.arange(len(bounds)))  # each row begins with the start token
        items = query.items.new_zeros(len(query.items) + len(query))
        items.index_copy_(0, torch.from_numpy(places).to(device), query.items)
        offsets = offsets.to(device)
        tokens, packing = self._tokens(items, offsets[:-1], offsets), Packing.of(offsets, waste=0.5)
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens, packing)
        assert isinstance(last, Block)
        return self.norm(last.newest(tokens, packing))

    def _tokens(self, items: Tensor, starts: Tensor, offsets: Tensor) -> Tensor:
        """Input of the blocks for packed rows whose first token, at `starts`, stands for the beginning of a history."""
        tokens = self.item_embedding(items).index_copy(0, starts, self.start.expand(len(starts), -1))
        return self.dropout(self.norm_input(tokens + self.position_embedding(positions_from_end(offsets))))

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        return self.item_embedding.weight if codes is None else self.item_embedding(codes)
