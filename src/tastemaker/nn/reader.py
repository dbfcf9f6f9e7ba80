"""Reading a history in order: a start token, positions, and causal blocks over ragged rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from tastemaker.nn.dropout import Dropout
from tastemaker.nn.ragged import Packing, positions_from_end


class CausalBlock(Protocol):
    """A layer in which a token knows itself and what came before it in its row."""

    def __call__(self, tokens: Tensor, packing: Packing) -> Tensor:
        """(tokens, dim) → (tokens, dim)."""

    def newest(self, tokens: Tensor, packing: Packing) -> Tensor:
        """The newest token of each row, none of which is empty: (tokens, dim) → (rows, dim)."""


class CausalReader(nn.Module):
    """Turns the vectors of events into what is known before each of them, or after the last.

    Every row begins with a learned start token, so that the first event can be asked for too and a row without events says something.
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

    def before(self, events: Tensor, offsets: Tensor) -> Tensor:
        """(events, dim) → (events, dim): row e knows the events of its row before e, at most `max_length`."""
        starts = offsets[:-1][offsets.diff() > 0]
        tokens, packing = self._tokens(events.roll(1, 0), starts, offsets), Packing.of(offsets)
        for block in self.blocks:
            tokens = block(tokens, packing)
        return cast(Tensor, self.norm(tokens))

    def after(self, events: Tensor, offsets: Tensor) -> Tensor:
        """(events, dim) → (rows, dim): each row knows all of its events, at most `max_length`."""
        bounds, device = offsets.cpu().numpy(), events.device
        places = np.arange(len(events)) + np.repeat(np.arange(1, len(bounds)), np.diff(bounds))
        offsets = torch.from_numpy(bounds + np.arange(len(bounds))).to(device)  # each row begins with the start token
        rows = events.new_zeros(len(events) + len(bounds) - 1, events.shape[1])
        rows = rows.index_copy(0, torch.from_numpy(places).to(device), events)
        tokens, packing = self._tokens(rows, offsets[:-1], offsets), Packing.of(offsets, waste=0.5)
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens, packing)
        return cast(Tensor, self.norm(cast(CausalBlock, last).newest(tokens, packing)))

    def _tokens(self, events: Tensor, starts: Tensor, offsets: Tensor) -> Tensor:
        """Input of the blocks for packed rows whose first token, at `starts`, stands for the beginning of a history."""
        tokens = events.index_copy(0, starts, self.start.expand(len(starts), -1))
        return cast(Tensor, self.dropout(self.norm_input(tokens + self.position_embedding(positions_from_end(offsets)))))
