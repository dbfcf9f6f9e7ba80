"""Histories that begin with a token of their own: the first event is then a target too, and nobody's history is empty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Opened:
    """Packed rows whose first token stands for the beginning of a history; the others are items."""

    items: Tensor
    """int64 (tokens,): item codes; what stands at a beginning means nothing"""
    offsets: Tensor
    """int64 (rows + 1,)"""
    starts: Tensor
    """int64 (rows that are not empty,): where rows begin"""

    @classmethod
    def before(cls, items: Tensor, offsets: Tensor) -> Opened:
        """A token for each event, which is what came just before it; rows without events have none."""
        return cls(items.roll(1), offsets, offsets[:-1][offsets.diff() > 0])

    @classmethod
    def after(cls, items: Tensor, offsets: Tensor) -> Opened:
        """The beginning and then all events, so that a row's last token is what came last."""
        bounds = offsets.cpu().numpy()
        places = np.arange(len(items)) + np.repeat(np.arange(1, len(bounds)), np.diff(bounds))
        opened = offsets + torch.arange(len(bounds), device=offsets.device)
        tokens = items.new_zeros(len(items) + len(bounds) - 1)
        tokens.index_copy_(0, torch.from_numpy(places).to(items.device), items)
        return cls(tokens, opened, opened[:-1])

    @property
    def newest(self) -> Tensor:
        """int64 (rows,): the last token of each row, none of which may be empty."""
        return self.offsets[1:] - 1

    def vectors(self, table: Tensor, start: Tensor) -> Tensor:
        """(tokens, dim): rows of `table` (items, dim), and `start` (dim,) at each beginning."""
        found = torch.nn.functional.embedding(self.items, table)
        return found.index_copy(0, self.starts, start.expand(len(self.starts), -1))
