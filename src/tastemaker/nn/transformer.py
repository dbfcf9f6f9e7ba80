"""A causal transformer over ragged rows: all but the attention itself runs on packed tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.nn.dropout import Dropout
from tastemaker.nn.ragged import Packing


class CausalAttention(nn.Module):
    """Multi-head self-attention in which a token sees itself and what came before it in its row (Vaswani et al. 2017, eq. 1)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""
        slots = packing.spread(self.project(tokens))
        outputs = []
        for group, block in zip(packing.groups, slots.split([group.slots for group in packing.groups]), strict=True):
            query, key, value = block.view(group.rows, group.length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            outputs.append(seen.transpose(1, 2).reshape(group.slots, -1))
        return self.mix(packing.collect(torch.cat(outputs))) if outputs else tokens

    def newest(self, tokens: Tensor, packing: Packing) -> Tensor:
        """What `forward` says at the newest token of each row, none of which is empty: (tokens, dim) → (rows, dim)."""
        dim, rows = tokens.shape[1], packing.rows
        ends = packing.offsets[1:]
        weight, bias = self.project.weight, self.project.bias
        queries = F.linear(tokens.index_select(0, ends[rows] - 1), weight[:dim], bias[:dim])
        slots = packing.spread(F.linear(tokens, weight[dim:], bias[dim:]))
        lengths = packing.offsets.diff()[rows]
        outputs, line, slot = [], 0, 0
        for group in packing.groups:
            lines = slice(line, line + group.rows)
            query = queries[lines].view(group.rows, self.heads, 1, -1)
            key, value = (
                slots[slot : slot + group.slots].view(group.rows, group.length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
            )
            real = torch.arange(group.length, device=tokens.device) < lengths[lines, None]
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None])
            outputs.append(seen.reshape(group.rows, dim))
            line, slot = line + group.rows, slot + group.slots
        return self.mix(torch.empty_like(queries).index_copy(0, rows, torch.cat(outputs)))


class Block(nn.Module):
    """Pre-norm transformer block: attention, then a two-layer perceptron, each behind a layer norm and a residual."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = CausalAttention(dim, heads)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, dim))
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""
        return self._after(tokens + self.dropout(self.attention(self.norm_attention(tokens), packing)))

    def newest(self, tokens: Tensor, packing: Packing) -> Tensor:
        """What `forward` says at the newest token of each row, none of which is empty, for less: (tokens, dim) → (rows, dim)."""
        seen = self.attention.newest(self.norm_attention(tokens), packing)
        return self._after(tokens.index_select(0, packing.offsets[1:] - 1) + self.dropout(seen))

    def _after(self, tokens: Tensor) -> Tensor:
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens)))
