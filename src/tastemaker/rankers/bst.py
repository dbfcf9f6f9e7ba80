"""BST: a transformer over the history and the candidate."""

from __future__ import annotations

from typing import Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.histories import Past
from tastemaker.nn.ragged import Packing, behind, positions_from_end
from tastemaker.nn.rows import Rows
from tastemaker.nn.segments import weighted_sum
from tastemaker.nn.transformer import Attention, Block
from tastemaker.rankers.base import HistoryConfig, HistoryRanker


class BST(HistoryRanker):
    """Transformer blocks over [e_1 … e_n, t] (Chen et al. 2019, "Behavior sequence transformer for e-commerce recommendation in Alibaba").

    Each token is its vector plus that of its position; all see each other. What the last block says at the candidate, the mean m of what it says at
    all tokens, and m ⊙ t join the perceptron. Deviations: the paper puts all positions side by side, which needs histories of one length; positions count
    events, where the paper counts time, and are added, not put beside; blocks are pre-norm with GELU, behind a layer norm, as in this
    library's other transformers; queries and keys begin with the same orthogonal weights, so that like attends to like before anything is learned,
    without which, as without m ⊙ t, whether a few hundred steps teach what resembles what depends on the seed. An empty history is the candidate alone.
    """

    class Config(HistoryConfig):
        """Settings of `bst`."""

        blocks: int = Field(1, ge=1, description="transformer blocks")
        heads: int = Field(2, ge=1, description="attention heads")
        max_length: int = Field(50, ge=1, description="newest events of a history that are read")
        attention_dropout: float = Field(0.0, ge=0, lt=1, description="of the blocks")

        @model_validator(mode="after")
        def _divides(self) -> Self:
            if self.dim % self.heads:
                raise ValueError(f"dim to be a multiple of heads = {self.heads}, not {self.dim}")
            return self

    solves = ("tastes",)
    ancestor = "din"
    interests = 3
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        dim, count = config.dim, len(self.histories)
        self.positions = nn.ParameterList(torch.randn(config.max_length + 1, dim) * config.init for _ in range(count))
        self.norms_input = nn.ModuleList(nn.LayerNorm(dim) for _ in range(count))
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                Block(dim, config.heads, 4 * dim, config.attention_dropout, causal=False) for _ in range(config.blocks)
            )
            for _ in range(count)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(count))
        self.drop = Dropout(config.attention_dropout)
        for part in self.modules():
            if isinstance(part, Attention):
                query, key, _ = part.project.weight.detach().chunk(3)
                key.copy_(nn.init.orthogonal_(query))

    def interest(self, place: int, past: Past, rows: Rows) -> Tensor:
        past = past.newest(self.config.max_length)
        tokens, offsets = behind(self.vectors.table(past.codes), past.target, past.offsets)
        tokens = self.drop(self.norms_input[place](tokens + self.positions[place].index_select(0, positions_from_end(offsets))))
        packing = Packing.of(offsets)
        for block in cast(nn.ModuleList, self.blocks[place]):
            tokens = block(tokens, packing)
        said = self.norms[place](tokens).float()
        lengths = offsets.diff()
        shares = torch.repeat_interleave(lengths.float().reciprocal(), lengths, output_size=len(said))
        mean = weighted_sum(said, shares, offsets)
        return torch.cat([said.index_select(0, offsets[1:] - 1), mean, mean * past.target], 1)
