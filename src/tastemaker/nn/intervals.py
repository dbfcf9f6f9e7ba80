"""Attention that knows the time between two events, over ragged rows, with nothing of size length × length × dim."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tastemaker.nn.dropout import Dropout
from tastemaker.nn.lags import Rectangle
from tastemaker.nn.ragged import Packing


class IntervalAttention(nn.Module):
    """Causal attention with interval embeddings added to keys and values (Li, Wang & McAuley 2020, eq. 4-8).

    e_ij = q_i · (k_j + p_j + r_ij) / √d and z_i = Σ_j softmax(e_ij) (v_j + p′_j + r′_ij), where r_ij and r′_ij are rows of two tables, chosen by the bucket
    of the time between i and j. There are few buckets: q_i · r is computed for each of them and looked up by pair, and the weights of a
    bucket are summed before they meet its r′.
    """

    def __init__(self, dim: int, heads: int, max_tokens: int, buckets: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim)
        self.position = nn.Embedding(max_tokens, 2 * dim)
        self.interval = nn.Embedding(buckets, 2 * dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, positions: Tensor, packing: Packing, parts: list[Rectangle]) -> Tensor:
        """(tokens, dim) → (tokens, dim); `positions` int64 (tokens,), `parts` from `nn.lags.rectangles` with `width` of the buckets."""
        query, rest = self.project(tokens).split([tokens.shape[1], 2 * tokens.shape[1]], dim=1)
        slots = packing.spread(torch.cat([query, rest + self.position(positions)], dim=1))
        outputs = []
        for part, block in zip(parts, slots.split([part.slots for part in parts]), strict=True):
            heads = block.view(part.rows, part.length, 3, self.heads, -1).permute(2, 3, 0, 1, 4)
            outputs.append(self._seen(heads, part.lags).permute(1, 2, 0, 3).reshape(part.slots, -1))
        return self.mix(packing.collect(torch.cat(outputs))) if outputs else tokens

    def _seen(self, heads: Tensor, lags: Tensor | None) -> Tensor:
        """(3, heads, rows, length, dim of a head) → (heads, rows, length, dim of a head)."""
        query, key, value = heads
        query = query * query.shape[-1] ** -0.5
        length = query.shape[2]
        later = torch.ones(length, length, dtype=torch.bool, device=query.device).triu_(1)
        near, far = self.interval.weight.view(len(self.interval.weight), 2, self.heads, -1).permute(1, 2, 0, 3)
        scores = query @ key.transpose(2, 3)
        if lags is None:  # one bucket for all: softmax does not see what is added to every score
            return torch.softmax(scores.masked_fill(later, -torch.inf), dim=-1) @ value + far[:, None, :1]
        index = lags.expand_as(scores)
        by_bucket = (query.flatten(1, 2) @ near.transpose(1, 2)).unflatten(1, query.shape[1:3])
        weights = torch.softmax((scores + by_bucket.gather(3, index)).masked_fill(later, -torch.inf), dim=-1)
        of_bucket = torch.zeros_like(by_bucket).scatter_add(3, index, weights)
        return weights @ value + (of_bucket.flatten(1, 2) @ far).unflatten(1, query.shape[1:3])


class IntervalBlock(nn.Module):
    """Pre-norm transformer block with `IntervalAttention`."""

    def __init__(self, dim: int, heads: int, hidden: int, max_tokens: int, buckets: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = IntervalAttention(dim, heads, max_tokens, buckets)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, dim))
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor, packing: Packing, parts: list[Rectangle]) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""
        tokens = tokens + self.dropout(self.attention(self.norm_attention(tokens), positions, packing, parts))
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens)))
