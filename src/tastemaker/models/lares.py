"""LARES: attention that reads the history again and again, each time knowing what it made of it before."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import item_table
from tastemaker.nn.ragged import Packing, positions_from_end
from tastemaker.nn.started import Started
from tastemaker.nn.transformer import Block, init_normal


class LARES(TokenModel):
    """Latent reasoning for sequential recommendation (Liu et al. 2025), its depth-recurrent network.

    Some blocks A read the history once, H = A(events + positions); others, C, are applied to their own result for a number of hops,
    T ← C(norm(T + H)) from T = 0, with the same weights at each. A user is T at the newest event; an item is its embedding. A hop is a
    look back at the whole history from the intent of the hop before, so one sharpens over the hops while no weight is added.

    Of the models that refine an intent in several looks at the history this one takes the step furthest. STAMP (Liu et al. 2018) looks
    once; memory networks (Sukhbaatar et al. 2015; Ebesu et al. 2018) refine one vector a user over a memory that stays as it is; here
    the memory, every event in the light of those before it, is refined as well. Deviations: hops begin at zero instead of a random
    draw, so that equal questions have equal answers; trained by the next item alone, without the paper's contrast of two
    trajectories and its reinforcement learning afterwards; positions count from the newest event.

    Every history begins with a learned start token, so the first event is a target too and a user with nothing gets a list.
    """

    class Config(TokenModel.Config):
        """Settings of `lares`."""

        blocks: int = Field(1, ge=1, description="blocks that read the history once")
        core: int = Field(1, ge=1, description="blocks of a hop")
        hops: int = Field(3, ge=1, description="times that the core is applied")
        heads: int = Field(2, ge=1, description="attention heads")
        hidden: int = Field(1, ge=1, description="width of the perceptrons, in multiples of dim")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each block; unset: more on sparser data")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar[dict[str, Any]] = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)

        def blocks(count: int) -> nn.ModuleList:
            return nn.ModuleList(
                Block(config.dim, config.heads, config.hidden * config.dim, config.dropout) for _ in range(count)
            )

        self.item_embedding = item_table(schema, config.dim)
        self.position_embedding = nn.Embedding(config.max_length + 1, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.blocks, self.core = blocks(config.blocks), blocks(config.core)
        self.norm_input, self.norm_hop, self.norm = (nn.LayerNorm(config.dim) for _ in range(3))
        self.dropout = Dropout(config.dropout)
        init_normal(self, config.init)

    def states(self, rows: Started) -> Tensor:
        packing = Packing.of(rows.offsets)
        tokens = self._read(rows, packing)
        *before, last = self.core
        return self.norm(last(self._thought(tokens, before, packing), packing))

    def newest(self, rows: Started) -> Tensor:
        packing = Packing.of(rows.offsets, waste=0.5)
        tokens = self._read(rows, packing)
        *before, last = self.core
        assert isinstance(last, Block)
        return self.norm(last.newest(self._thought(tokens, before, packing), packing))

    def _read(self, rows: Started, packing: Packing) -> Tensor:
        """H: what the first blocks make of the history, (tokens, dim)."""
        tokens = rows.vectors(self.item_embedding, self.start)
        tokens = self.dropout(self.norm_input(tokens + self.position_embedding(positions_from_end(rows.offsets))))
        for block in self.blocks:
            tokens = block(tokens, packing)
        return tokens

    def _thought(self, history: Tensor, before: list[nn.Module], packing: Packing) -> Tensor:
        """All hops but the last block of the last one, (tokens, dim)."""
        thought = torch.zeros_like(history)
        for hop in range(self.config.hops):
            thought = self.norm_hop(thought + history)
            for block in before if hop == self.config.hops - 1 else self.core:
                thought = block(thought, packing)
        return thought
