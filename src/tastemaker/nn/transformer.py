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
        """What `forward` says at the newest token of each line of the packing: (tokens, dim) → (lines, dim)."""
        dim, weight, bias = tokens.shape[1], self.project.weight, self.project.bias
        queries = F.linear(tokens.index_select(0, packing.newest), weight[:dim], bias[:dim])
        slots = packing.spread(F.linear(tokens, weight[dim:], bias[dim:]))
        outputs, line, slot = [], 0, 0
        for group in packing.groups:
            query = queries[line : line + group.rows].view(group.rows, self.heads, 1, -1)
            block = slots[slot : slot + group.slots].view(group.rows, group.length, 2, self.heads, -1)
            key, value = block.permute(2, 0, 3, 1, 4)
            mask = None if group.real is None else group.real[:, None, None]
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            outputs.append(seen.reshape(group.rows, dim))
            line, slot = line + group.rows, slot + group.slots
        return self.mix(torch.cat(outputs) if outputs else queries)


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
        seen = self.dropout(self.attention.newest(self.norm_attention(tokens), packing))
        lines = self._after(tokens.index_select(0, packing.newest) + seen)
        return torch.empty_like(lines).index_copy(0, packing.rows, lines)

    def _after(self, tokens: Tensor) -> Tensor:
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens)))
