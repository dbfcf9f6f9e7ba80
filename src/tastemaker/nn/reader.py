"""Reading a history in order: a start token, positions, and causal blocks over ragged rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from tastemaker.nn.dropout import Dropout
from tastemaker.nn.ragged import Packing, positions_from_end
from tastemaker.nn.started import Started


class CausalBlock(Protocol):
    """A layer in which a token knows itself and what came before it in its row."""

    def __call__(self, tokens: Tensor, packing: Packing) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""

    def newest(self, tokens: Tensor, packing: Packing) -> Tensor:
        """The newest token of each row, none of which is empty: (tokens, dim) → (rows, dim)."""


class CausalReader(nn.Module):
    """Turns rows of events, each behind a learned start token, into what is known at each of them.

    Positions count from the newest event. The sum of event and position goes through a layer norm: what an item is would
    drown in the first outputs of the blocks otherwise.
    """

    def __init__(
        self, dim: int, blocks: Iterable[nn.Module], max_length: int, dropout: float, *, init: float, norm: bool = True
    ) -> None:
        """`blocks` are `CausalBlock`s; `norm` puts a layer norm behind the last, as pre-norm blocks need it."""
        super().__init__()
        self.position_embedding = nn.Embedding(max_length + 1, dim)
        self.start = nn.Parameter(torch.randn(dim) * init)
        self.blocks = nn.ModuleList(blocks)
        self.norm_input = nn.LayerNorm(dim)
        self.norm = nn.LayerNorm(dim) if norm else nn.Identity()
        self.dropout = Dropout(dropout)

    def forward(self, events: Tensor, rows: Started) -> Tensor:
        """(tokens, dim) → (tokens, dim): each token knows itself and what came before it in its row; `events` are vectors of `rows.items`."""
        tokens, packing = self._tokens(events, rows), Packing.of(rows.offsets)
        for block in self.blocks:
            tokens = block(tokens, packing)
        return cast(Tensor, self.norm(tokens))

    def newest(self, events: Tensor, rows: Started) -> Tensor:
        """What `forward` says at the newest token of each row, none of which is empty, for less: (tokens, dim) → (rows, dim)."""
        tokens, packing = self._tokens(events, rows), Packing.of(rows.offsets, waste=0.5)
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens, packing)
        return cast(Tensor, self.norm(cast(CausalBlock, last).newest(tokens, packing)))

    def _tokens(self, events: Tensor, rows: Started) -> Tensor:
        """Input of the blocks."""
        tokens = events.index_copy(0, rows.starts, self.start.expand(len(rows.starts), -1))
        return cast(Tensor, self.dropout(self.norm_input(tokens + self.position_embedding(positions_from_end(rows.offsets)))))
