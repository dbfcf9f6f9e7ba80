"""Ragged rows: packed tokens that are padded only where attention needs rectangles, and hardly even there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of like length, laid out as a rectangle of `rows` × `length` slots."""

    rows: int
    length: int
    real: Tensor | None = None
    """bool (rows, length): False for empty slots; None where there are none"""

    @property
    def slots(self) -> int:
        return self.rows * self.length


@dataclass(frozen=True, eq=False)
class Packing:
    """A plan that moves packed tokens (tokens, …) into rectangles and back.

    Rows are sorted by length and cut into groups so that the empty slots at the end of a row stay below `waste` of it. An empty slot
    repeats the row's last token: under a causal mask no real token looks at it, so it changes no result and gets no gradient;
    attention that looks ahead has to mask it by `Group.real`.
    """

    groups: tuple[Group, ...]
    to_slots: Tensor
    """int64 (slots,): the token in each slot"""
    to_tokens: Tensor
    """int64 (tokens,): the slot of each token"""
    rows: Tensor
    """int64 (lines,): the row of each line of the rectangles, one group after the other; rows of length 0 have none"""
    newest: Tensor
    """int64 (lines,): the last token of each line"""
    plain: bool = False
    """all rows are of one length: packed tokens are a rectangle as they are, and nothing moves"""

    @classmethod
    def of(cls, offsets: Tensor, waste: float = 0.15) -> Packing:
        """Plans for rows given by `offsets`, int64 (rows + 1,); rows of length 0 take no slot.

        Fewer, larger groups cost less where there is little in each of them: then `waste` may be more.
        """
        bounds = offsets.cpu().numpy()
        lengths = np.diff(bounds)
        if len(lengths) and 0 < lengths[0] == lengths.min() == lengths.max():
            every, lines = (torch.arange(n, device=offsets.device) for n in (int(bounds[-1]), len(lengths)))
            return cls((Group(len(lengths), int(lengths[0])),), every, every, lines, offsets[1:] - 1, plain=True)
        order = np.argsort(-lengths, kind="stable")
        order = order[: np.count_nonzero(lengths)]
        groups, slots, places = [], [], np.empty(int(lengths.sum()), dtype=np.int64)
        device = offsets.device
        first, start = 0, 0
        while first < len(order):
            length = int(lengths[order[first]])
            shortest = min(int(length * (1 - waste)), length - 4)
            end = int(np.searchsorted(-lengths[order], -shortest, side="right")) if shortest > 0 else len(order)
            rows = order[first:end]
            steps, grid = np.arange(length), start + np.arange(len(rows) * length).reshape(len(rows), length)
            tokens = bounds[rows, None] + np.minimum(steps, lengths[rows, None] - 1)
            slots.append(tokens.ravel())
            if lengths[rows[-1]] == length:
                places[tokens], real = grid, None
            else:
                there = steps < lengths[rows, None]
                places[tokens[there]], real = grid[there], torch.from_numpy(there).to(device)
            groups.append(Group(len(rows), length, real))
            first, start = end, start + len(rows) * length
        gather = np.concatenate(slots) if slots else np.zeros(0, np.int64)
        moves = [torch.from_numpy(one).to(device) for one in (gather, places, order, bounds[1:][order] - 1)]
        return cls(tuple(groups), moves[0], moves[1], moves[2], moves[3])

    def spread(self, tokens: Tensor) -> Tensor:
        """(tokens, dim) → (slots, dim)."""
        if self.plain:
            return tokens
        if not tokens.requires_grad:
            return tokens.index_select(0, self.to_slots)
        return _Move.apply(tokens, self.to_slots, self.to_tokens)

    def collect(self, slots: Tensor) -> Tensor:
        """(slots, dim) → (tokens, dim): the inverse of `spread`."""
        if self.plain:
            return slots
        if not slots.requires_grad:
            return slots.index_select(0, self.to_tokens)
        return _Collect.apply(slots, self.to_tokens, self.to_slots)

    def blocks(self, slots: Tensor) -> list[tuple[Group, Tensor]]:
        """The groups, each with its part of the slots (slots, dim) as a rectangle (rows, length, dim)."""
        parts = slots.split([group.slots for group in self.groups])
        return [(group, part.view(group.rows, group.length, -1)) for group, part in zip(self.groups, parts, strict=True)]

    def lines_to_rows(self, lines: Tensor) -> Tensor:
        """(lines, dim) → (rows, dim), where no row is empty."""
        return lines if self.plain else torch.empty_like(lines).index_copy(0, self.rows, lines)


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
    bounds = offsets.cpu().numpy()
    ends = np.repeat(bounds[1:], np.diff(bounds))
    return torch.from_numpy(ends - 1 - np.arange(len(ends))).to(offsets.device)


def behind(tokens: Tensor, last: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's tokens (tokens, dim) and behind them its own of `last` (rows, dim), packed, and the offsets of both together."""
    bounds = offsets.cpu().numpy()
    lengths, longer = np.diff(bounds), bounds + np.arange(len(bounds))
    source = np.arange(len(tokens)) + np.repeat(np.arange(len(lengths)), lengths)
    places, ends, fresh = (torch.from_numpy(one).to(offsets.device) for one in (source, longer[1:] - 1, longer))
    found = tokens.new_empty(len(tokens) + len(last), tokens.shape[1])
    return found.index_copy(0, places, tokens).index_copy(0, ends, last), fresh


def like_lengths(offsets: np.ndarray, cells: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The rows that have tokens, in blocks of like length, for systems of length × length each.

    Args:
        offsets: int (rows + 1,).
        cells: a block has at most this many numbers in its systems, but at least one row.

    Yields:
        rows (n,), places of their tokens (n, length), and which places are real, bool (n, length); where not, the place is the row's first.
    """
    lengths = np.diff(offsets)
    order = np.argsort(lengths, kind="stable")[(lengths == 0).sum() :]
    ascending, start = lengths[order], 0
    while start < len(order):
        alike = int(np.searchsorted(ascending, ascending[start] * 5 // 4 + 2, side="right"))
        end = min(alike, start + max(1, cells // int(ascending[alike - 1]) ** 2))
        rows, place = order[start:end], np.arange(ascending[end - 1])
        real = place < ascending[start:end, None]
        yield rows, offsets[rows, None] + np.where(real, place, 0), real
        start = end
