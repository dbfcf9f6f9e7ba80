"""Attention of several questions a row over the events of its history."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.nn.dropout import Dropout
from tastemaker.nn.ragged import Packing, behind
from tastemaker.nn.transformer import perceptron


class CrossAttention(nn.Module):
    """Multi-head attention whose queries are not the keys (Vaswani et al. 2017, eq. 1), over ragged events and one token more.

    The token more is learned, and there whatever happened: attention that finds nothing like its query rests there, and so it does
    where there are no events. Queries and keys begin with the same orthogonal weights, so that like attends to like before anything is learned.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ask = nn.Linear(dim, dim)
        self.answer = nn.Linear(dim, 2 * dim)
        self.mix = nn.Linear(dim, dim)
        self.nothing = nn.Parameter(torch.zeros(dim))
        with torch.no_grad():
            nn.init.orthogonal_(self.ask.weight)
            self.answer.weight[:dim] = self.ask.weight

    def forward(self, queries: Tensor, events: Tensor, offsets: Tensor) -> Tensor:
        """(rows, queries, dim) and (events, dim) → (rows, queries, dim)."""
        rows, count, dim = queries.shape
        if not rows:
            return queries
        tokens, longer = behind(events, self.nothing.to(events.dtype).expand(rows, -1), offsets)
        packing = Packing.of(longer)
        lines = self.ask(queries).flatten(1)
        lines = lines if packing.plain else lines.index_select(0, packing.rows)
        outputs, line = [], 0
        for group, block in packing.blocks(packing.spread(self.answer(tokens))):
            query = lines[line : line + group.rows].view(group.rows, count, self.heads, -1).transpose(1, 2)
            key, value = block.view(group.rows, group.length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
            mask = None if group.real is None else group.real[:, None, None]
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            outputs.append(seen.transpose(1, 2).reshape(group.rows, -1))
            line += group.rows
        return self.mix(packing.lines_to_rows(torch.cat(outputs)).view(rows, count, dim))


class CrossBlock(nn.Module):
    """Pre-norm block of a decoder without self-attention: cross-attention, then a two-layer perceptron, each behind a norm and a residual."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm_queries, self.norm_events, self.norm_mlp = (nn.LayerNorm(dim) for _ in range(3))
        self.attention = CrossAttention(dim, heads)
        self.mlp = perceptron(dim, hidden, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, queries: Tensor, events: Tensor, offsets: Tensor) -> Tensor:
        """(rows, queries, dim) and (events, dim) → (rows, queries, dim)."""
        seen = self.attention(self.norm_queries(queries), self.norm_events(events), offsets)
        queries = queries + self.dropout(seen)
        return queries + self.dropout(self.mlp(self.norm_mlp(queries)))
