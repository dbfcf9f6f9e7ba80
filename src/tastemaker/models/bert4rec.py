"""BERT4Rec: guess what was taken out of a history, from both sides."""

from __future__ import annotations

from typing import ClassVar, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.habits import suited
from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import item_table
from tastemaker.nn.ragged import Packing, positions_from_end
from tastemaker.nn.transformer import Block, init_glorot
from tastemaker.settings import Settings


class BERT4Rec(RetrievalModel):
    """Sequential recommendation with bidirectional encoder representations (Sun et al. 2019), trained on a cloze task.

    Some events of a history are replaced by a mask, at random in every epoch, and each is to be told from what stands before and
    after it. A user is the state of a mask put behind the newest event; an item is its embedding, shared with the input, and a bias.

    What Petrov & Macdonald (2022, "A Systematic Review and Replicability Study of BERT4Rec") found to matter is kept: a share `last` of
    the histories has its newest event masked and no other, which is the question asked later, and so has a history in which chance masked
    nothing. Training takes more epochs than a model that learns from every event of each, by about 1 / `mask`. Deviations from the
    paper: pre-norm blocks and a layer norm on the embeddings, positions counted from the newest event, a mask is always a mask (never a
    random item, nor the item itself, as in BERT), the loss is that of `[train]`, by default cross-entropy over the whole catalogue, and
    linear layers begin as large as Glorot & Bengio say: a mask knows of its row by attention alone, and with first weights of .02, as BERT
    has them, what attention brings is under a hundredth of the mask's own vector, and training stays at popularity for tens of epochs.

    A user with nothing is a mask alone: what anyone takes.
    """

    class Config(Settings):
        """Settings of `bert4rec`."""

        dim: int = Field(64, gt=0, description="size of item and user vectors")
        blocks: int = Field(2, ge=1, description="transformer blocks")
        heads: int = Field(2, ge=1, description="attention heads")
        hidden: int = Field(4, ge=1, description="width of the perceptron, in multiples of dim")
        mask: float = Field(0.2, gt=0, lt=1, description="share of a history's events that are masked in training")
        last: float = Field(0.1, ge=0, le=1, description="share of histories of which the newest event alone is masked")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first embeddings")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each block; unset: more on sparser data")

    learns_from = "sequences"
    item_rows = ("item_bias",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        dim = config.dim
        self.item_embedding = item_table(schema, dim)
        self.item_bias = nn.Parameter(torch.zeros(schema.num_items))
        self.position_embedding = nn.Embedding(config.max_length + 1, dim)
        self.mask = nn.Parameter(torch.randn(dim) * config.init)
        self.blocks = nn.ModuleList(
            Block(dim, config.heads, config.hidden * dim, config.dropout, causal=False) for _ in range(config.blocks)
        )
        self.norm_input = nn.LayerNorm(dim)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim))
        init_glorot(self, config.init)

    @classmethod
    def adapt(cls, config: Config, interactions: Interactions, loss: str | None = None) -> Config:
        """Length and dropout that suit the data (`data.habits.suited`)."""
        return suited(config, interactions)

    def encode_batch(self, batch: Batch) -> Encoded:
        query = batch.query
        places = self._masked(query)
        tokens, packing = self._tokens(query.items, places, query.offsets), Packing.of(query.offsets)
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens, packing)
        return Encoded(self._with_one(last(tokens, packing, places)), asked=places)

    def encode_user(self, query: Query) -> Tensor:
        query = query.known().last(self.config.max_length)
        bounds, device = query.offsets.cpu().numpy(), query.items.device
        places = np.arange(len(query.items)) + np.repeat(np.arange(len(query)), np.diff(bounds))
        offsets = torch.from_numpy(bounds + np.arange(len(bounds))).to(device)  # each row ends with a mask
        items = query.items.new_zeros(len(query.items) + len(query))
        items.index_copy_(0, torch.from_numpy(places).to(device), query.items)
        tokens, packing = self._tokens(items, offsets[1:] - 1, offsets), Packing.of(offsets)
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens, packing)
        return self._with_one(cast(Block, last).newest(tokens, packing))

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        if codes is None:
            return torch.cat([self.item_embedding.weight, self.item_row("item_bias").unsqueeze(1)], dim=1)
        bias = self.item_row("item_bias").index_select(0, codes.flatten()).view(*codes.shape, 1)
        return torch.cat([self.item_embedding(codes), bias], dim=-1)

    def _masked(self, query: Query) -> Tensor:
        """int64 (masked,): places of events to guess, drawn at random, at least one of every row that has events."""
        device, rows = query.items.device, query.rows
        several = torch.rand(len(query), device=device) >= self.config.last
        masked = (torch.rand(len(query.items), device=device) < self.config.mask) & several[rows]
        none = torch.ones(len(query), dtype=torch.bool, device=device).index_fill_(0, rows[masked], False)
        masked[query.offsets[1:][none & (query.lengths > 0)] - 1] = True
        return masked.nonzero().squeeze(1)

    def _tokens(self, items: Tensor, masks: Tensor, offsets: Tensor) -> Tensor:
        """Input of the blocks: events and, at `masks`, masks."""
        tokens = self.item_embedding(items).index_copy(0, masks, self.mask.expand(len(masks), -1))
        return cast(Tensor, self.dropout(self.norm_input(tokens + self.position_embedding(positions_from_end(offsets)))))

    def _with_one(self, states: Tensor) -> Tensor:
        """The states as user vectors, with a one for the items' bias."""
        return torch.cat([self.head(states), states.new_ones(len(states), 1)], dim=1)
