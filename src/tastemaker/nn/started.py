"""Histories as tokens for a model that reads in order: packed rows, each of which begins with a start token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tastemaker.nn.entity import ItemTable


@dataclass(frozen=True, eq=False)
class Started:
    """Packed rows whose first token stands for the beginning of a history; the others are events, oldest first."""

    items: Tensor
    """int64 (tokens,): item codes; what stands at a start means nothing"""
    times: Tensor
    """int64 (tokens,), µs: of the events; a start has the time of the first event, 0 where there is none"""
    offsets: Tensor
    """int64 (rows + 1,)"""
    starts: Tensor
    """int64 (rows that are not empty,): places of the start tokens"""

    @classmethod
    def before(cls, items: Tensor, times: Tensor, offsets: Tensor) -> Started:
        """As many tokens as events: the state at place e knows the start and the events of its row before e."""
        starts = offsets[:-1][offsets.diff() > 0]
        return cls(items.roll(1), times.roll(1).index_copy(0, starts, times.index_select(0, starts)), offsets, starts)

    @classmethod
    def after(cls, items: Tensor, times: Tensor, offsets: Tensor) -> Started:
        """A token more than events in each row: the state at a row's last token knows the start and all its events."""
        if len(offsets) == 2:
            begun = torch.cat([times[:1] if len(times) else times.new_zeros(1), times])
            return cls(torch.cat([items.new_zeros(1), items]), begun, offsets.new_tensor([0, len(begun)]), offsets[:1])
        bounds, device = offsets.cpu().numpy(), offsets.device  # numpy, since small tensors cost what large ones do
        lengths, longer = np.diff(bounds), bounds + np.arange(len(bounds))
        tokens = np.arange(len(items)) + np.repeat(np.arange(1, len(bounds)), lengths)
        some = np.flatnonzero(lengths)
        places, total = torch.from_numpy(tokens).to(device), len(items) + len(lengths)
        begun = times.new_zeros(total).index_copy_(0, places, times)
        firsts, starts = (torch.from_numpy(one[:-1][some]).to(device) for one in (bounds, longer))
        begun.index_copy_(0, starts, times.index_select(0, firsts))
        opened = torch.from_numpy(longer).to(device)
        return cls(items.new_zeros(total).index_copy_(0, places, items), begun, opened, opened[:-1])

    @property
    def newest(self) -> Tensor:
        """int64 (rows,): the place of each row's last token; for rows that are not empty."""
        return self.offsets[1:] - 1

    def vectors(self, table: ItemTable, start: Tensor) -> Tensor:
        """(tokens, dim): the embedding of each event's item, and `start`, (dim,), where rows begin."""
        return table(self.items).index_copy(0, self.starts, start.expand(len(self.starts), -1))

    @property
    def positions(self) -> Tensor:
        """int64 (tokens,): 0 for the start of each row, 1 for its oldest event, …"""
        firsts = torch.repeat_interleave(self.offsets[:-1], self.offsets.diff(), output_size=len(self.items))
        return torch.arange(len(self.items), device=self.items.device) - firsts
