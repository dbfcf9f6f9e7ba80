"""Ragged rows: packed tokens that are padded only where attention needs rectangles, and hardly even there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Rows of like length, laid out as a rectangle of `rows` × `length` slots."""

    rows: int
    length: int

    @property
    def slots(self) -> int:
        return self.rows * self.length


@dataclass(frozen=True, eq=False)
class Packing:
    """A plan that moves packed tokens (tokens, …) into rectangles and back.

    Rows are sorted by length and cut into groups so that the empty slots at the end of a row stay below `waste` of it. An empty slot
    repeats the row's last token: under a causal mask no real token looks at it, so it changes no result and gets no gradient.
    """

    groups: tuple[Group, ...]
    to_slots: Tensor
    """int64 (slots,): the token in each slot"""
    to_tokens: Tensor
    """int64 (tokens,): the slot of each token"""
    rows: Tensor
    """int64 (rows,): the row of each line of the rectangles, one group after the other; rows of length 0 have none"""
    offsets: Tensor
    """int64 (rows + 1,): what was planned for"""

    @classmethod
    def of(cls, offsets: Tensor, waste: float = 0.15) -> Packing:
        """Plans for rows given by `offsets`, int64 (rows + 1,); rows of length 0 take no slot.

        Fewer, larger groups cost less where there is little in each of them: then `waste` may be more.
        """
        bounds = offsets.cpu().numpy()
        lengths = np.diff(bounds)
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        groups, slots, places = [], [], np.empty(int(lengths.sum()), dtype=np.int64)
        first, start = 0, 0
        while first < len(order):
            length = int(lengths[order[first]])
            shortest = min(int(length * (1 - waste)), length - 4)
            end = int(np.searchsorted(-lengths[order], -shortest, side="right")) if shortest > 0 else len(order)
            rows = order[first:end]
            steps = np.minimum(np.arange(length), lengths[rows, None] - 1)
            slots.append((bounds[rows, None] + steps).ravel())
            real = np.arange(length) < lengths[rows, None]
            grid = start + np.arange(len(rows) * length).reshape(len(rows), length)
            places[(bounds[rows, None] + np.arange(length))[real]] = grid[real]
            groups.append(Group(len(rows), length))
            first, start = end, start + len(rows) * length
        gather = np.concatenate(slots) if slots else np.zeros(0, np.int64)
        device = offsets.device
        to_slots, to_tokens, lines = (torch.from_numpy(one).to(device) for one in (gather, places, order))
        return cls(tuple(groups), to_slots, to_tokens, lines, offsets)

    def spread(self, tokens: Tensor) -> Tensor:
        """(tokens, dim) → (slots, dim)."""
        return (
            _Move.apply(tokens, self.to_slots, self.to_tokens)
            if tokens.requires_grad
            else tokens.index_select(0, self.to_slots)
        )

    def collect(self, slots: Tensor) -> Tensor:
        """(slots, dim) → (tokens, dim): the inverse of `spread`."""
        return (
            _Collect.apply(slots, self.to_tokens, self.to_slots)
            if slots.requires_grad
            else slots.index_select(0, self.to_tokens)
        )


class _Move(torch.autograd.Function):
    """A gather whose gradient is a gather too: empty slots receive no gradient, so the slot of each token is all that counts."""

    @staticmethod
    def forward(ctx, values, index, inverse):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(inverse)
        return values.index_select(0, index)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


class _Collect(torch.autograd.Function):
    """The way back: the gradient of an empty slot is zero."""

    @staticmethod
    def forward(ctx, slots, to_tokens, to_slots):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(to_tokens)
        ctx.num_slots = len(slots)
        return slots.index_select(0, to_tokens)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (to_tokens,) = ctx.saved_tensors
        result = gradient.new_zeros(ctx.num_slots, gradient.shape[1])
        return result.index_copy_(0, to_tokens, gradient), None, None


def positions_from_end(offsets: Tensor) -> Tensor:
    """int64 (tokens,): 0 for the newest token of each row, 1 for the one before, …"""
    lengths = offsets.diff()
    ends = torch.repeat_interleave(offsets[1:], lengths)
    return ends - 1 - torch.arange(len(ends), device=offsets.device)
