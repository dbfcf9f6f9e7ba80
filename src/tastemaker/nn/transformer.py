"""A transformer over ragged rows: all but the attention itself runs on packed tokens."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.nn.dropout import Dropout
from tastemaker.nn.ragged import Packing


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, eq. 1): a token sees itself and what came before it in its row.

    With `causal` false it sees its whole row. `dropout` is of the weights, so that a token does not count on any one before it.
    """

    def __init__(self, dim: int, heads: int, *, causal: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.dropout = Dropout(dropout)
        self.project = nn.Linear(dim, 3 * dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, packing: Packing) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""
        outputs = []
        for group, block in packing.blocks(packing.spread(self.project(tokens))):
            query, key, value = block.view(group.rows, group.length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            # an empty slot repeats the newest token: no earlier one sees it, and without a causal mask none may
            mask = None if self.causal or group.real is None else group.real[:, None, None]
            if self.training and (self.dropout.p or (query.dtype == torch.bfloat16 and query.device.type == "cpu")):
                seen = self._by_hand(query, key, value, mask)
            else:
                seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=self.causal)
            outputs.append(seen.transpose(1, 2).reshape(group.slots, -1))
        return self.mix(packing.collect(torch.cat(outputs))) if outputs else tokens

    def _by_hand(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """The same by hand: torch's own leaves its fast path for a dropout, and its gradient in bfloat16 takes ten times as long on a CPU."""
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if self.causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return cast(Tensor, self.dropout(scores.softmax(-1)) @ value)

    def newest(self, tokens: Tensor, packing: Packing) -> Tensor:
        """What `forward` says at the newest token of each line of the packing: (tokens, dim) → (lines, dim)."""
        dim, weight, bias = tokens.shape[1], self.project.weight, self.project.bias
        queries = F.linear(tokens.index_select(0, packing.newest), weight[:dim], bias[:dim])
        outputs, line = [], 0
        for group, block in packing.blocks(packing.spread(F.linear(tokens, weight[dim:], bias[dim:]))):
            query = queries[line : line + group.rows].view(group.rows, self.heads, 1, -1)
            key, value = block.view(group.rows, group.length, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
            mask = None if group.real is None else group.real[:, None, None]
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            outputs.append(seen.reshape(group.rows, dim))
            line += group.rows
        return self.mix(torch.cat(outputs) if outputs else queries)

    def memory(self, tokens: Tensor) -> Tensor:
        """Keys and values of tokens, for `branch`: (…, dim) → (…, 2, heads, size)."""
        dim, weight, bias = tokens.shape[-1], self.project.weight, self.project.bias
        return F.linear(tokens, weight[dim:], bias[dim:]).view(*tokens.shape[:-1], 2, self.heads, -1)

    def branch(self, tokens: Tensor, past: Tensor, there: Tensor, above: Tensor) -> Tensor:
        """Tokens on branches that grow out of a row: each sees the row, those above it on its branch, and itself.

        Args:
            tokens: (rows, n, dim): n branches of each row.
            past: the `memory` of the row's tokens: (rows, length, 2, heads, size).
            there: bool (rows, length): False for empty slots.
            above: the `memory` of those above and of the token itself: (rows, n, depth, 2, heads, size).
        """
        rows, n, dim = tokens.shape
        query = F.linear(tokens, self.project.weight[:dim], self.project.bias[:dim]).view(rows, n, self.heads, -1)
        query = query * query.shape[-1] ** -0.5
        of_past = torch.einsum("rnhs,rths->rhnt", query, past[:, :, 0]).masked_fill(~there[:, None, None], -torch.inf)
        of_branch = torch.einsum("rnhs,rndhs->rhnd", query, above[:, :, :, 0])
        weights = torch.cat([of_past, of_branch], dim=-1).softmax(-1)
        length = past.shape[1]
        seen = torch.einsum("rhnt,rths->rnhs", weights[..., :length], past[:, :, 1])
        seen = seen + torch.einsum("rhnd,rndhs->rnhs", weights[..., length:], above[:, :, :, 1])
        return cast(Tensor, self.mix(seen.reshape(rows, n, dim)))


class SwiGLU(nn.Module):
    """Perceptron with a gate (Shazeer 2020, "GLU Variants Improve Transformer", eq. 6): (silu(x W) ∘ x V) U."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.open = nn.Linear(dim, 2 * hidden, bias=False)
        self.dropout = Dropout(dropout)
        self.close = nn.Linear(hidden, dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""
        gate, value = self.open(tokens).chunk(2, dim=-1)
        return self.close(self.dropout(F.silu(gate) * value))


def perceptron(dim: int, hidden: int, dropout: float = 0.0) -> nn.Sequential:
    """Two layers with GELU."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, dim))


class Block(nn.Module):
    """Pre-norm transformer block: attention, then a two-layer perceptron, each behind a layer norm and a residual.

    With `causal` false a token sees its whole row; `attention_dropout` is of the weights of attention.
    """

    def __init__(
        self, dim: int, heads: int, hidden: int, dropout: float, *, causal: bool = True, attention_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, causal=causal, dropout=attention_dropout)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp: nn.Module = perceptron(dim, hidden, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, packing: Packing, places: Tensor | None = None) -> Tensor:
        """(tokens, dim) → (tokens, dim), or (places, dim) when only the tokens at `places`, int64, matter to the caller."""
        seen = self.attention(self.norm_attention(tokens), packing)
        if places is not None:
            tokens, seen = tokens.index_select(0, places), seen.index_select(0, places)
        return self._after(tokens, seen)

    def newest(self, tokens: Tensor, packing: Packing) -> Tensor:
        """What `forward` says at the newest token of each row, none of which is empty, for less: (tokens, dim) → (rows, dim)."""
        seen = self.attention.newest(self.norm_attention(tokens), packing)
        return packing.lines_to_rows(self._after(tokens.index_select(0, packing.newest), seen))

    def memory(self, tokens: Tensor) -> Tensor:
        """What `branch` needs to know of tokens, as they go into the block: see `Attention.memory`."""
        return self.attention.memory(self.norm_attention(tokens))

    def branch(self, tokens: Tensor, past: Tensor, there: Tensor, above: Tensor) -> tuple[Tensor, Tensor]:
        """As `Attention.branch`, where `above` is without the tokens themselves; and the memory with them."""
        normed = self.norm_attention(tokens)
        above = torch.cat([above, self.attention.memory(normed).unsqueeze(2)], dim=2)
        return self._after(tokens, self.attention.branch(normed, past, there, above)), above

    def _after(self, tokens: Tensor, seen: Tensor) -> Tensor:
        tokens = tokens + self.dropout(seen)
        return tokens + self.dropout(self.mlp(self.norm_mlp(tokens)))


class LiGRBlock(Block):
    """A block whose residuals are gated, with SwiGLU for a perceptron, as in eSASRec (Tikhonovich et al. 2025).

    What attention and perceptron add is multiplied by σ(x W + b), x being what they are added to. The idea is LiGR's (Borisyuk et al.
    2025, "From Features to Transformers: Redefining Ranking for Scalable Impact").
    """

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, *, attention_dropout: float = 0.0) -> None:
        super().__init__(dim, heads, hidden, dropout, attention_dropout=attention_dropout)
        self.mlp = SwiGLU(dim, hidden, dropout)
        self.gate_attention = nn.Linear(dim, dim)
        self.gate_mlp = nn.Linear(dim, dim)

    def _after(self, tokens: Tensor, seen: Tensor) -> Tensor:
        tokens = tokens + torch.sigmoid(self.gate_attention(tokens)) * self.dropout(seen)
        return tokens + torch.sigmoid(self.gate_mlp(tokens)) * self.dropout(self.mlp(self.norm_mlp(tokens)))


def init_normal(module: nn.Module, std: float) -> None:
    """First weights of all embeddings and linear layers of a module: normal with standard deviation `std`; biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Embedding | nn.Linear):
            nn.init.normal_(part.weight, std=std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def init_glorot(module: nn.Module, std: float) -> None:
    """As `init_normal`, but linear layers keep the size of what goes through them (Glorot & Bengio 2010, eq. 16)."""
    init_normal(module, std)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
