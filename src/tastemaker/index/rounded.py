"""Exact search of a large catalogue that reads a quarter of it: a first look at vectors rounded to bytes, a second at the few that may win.

Products of bytes summed in 32 bits are exact, read one byte where float32 reads four, and depend on no other row. How far rounding can have
moved a score is bounded, so the first look tells all that may belong among the k best. These few get their exact scores, and the
order of `index.exact`: score descending, then item code ascending.

The bound. With any centre c and step t for each dimension, and a step s_i for each item, item i is rounded to integers q_i = (w_i - c) /
(t s_i) - δ_i, and a user with one step r to integers p = u t / r - η. Then

    u·w_i = u·c + r s_i (p·q_i + (p + η)·δ_i + η·q_i),       |(p + η)·δ_i + η·q_i| ≤ ‖p + η‖ max‖δ‖ + ‖η‖ max‖q‖ = B

by Cauchy and Schwarz, with norms that are measured when the vectors are rounded. u·c is the same for all items. So s_i (p·q_i ± B) holds each
score, and if k items lie above L, no item with s_i (p·q_i + B) < L is among the k best. B holds a few float32 roundings more, so that
what is left out cannot even tie.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.vocabulary import FIRST

WIDEST = 1024
"""Dimensions up to which sums of products stay below 2²⁴, which float32 holds exactly."""
_LANES = 64
"""The catalogue is looked at as so many rows: maxima over columns are found at the speed of memory."""
_CLOSED = 2e38
_NEVER = -1e38
"""Rounded scores are far above this, those of items that may not be returned are below."""
_LARGEST = 1e30
"""Scores up to this are far from the ends of float32; so are steps from it down to its inverse."""
_LOOSE = 1 << 22
"""A bound as wide as the sums themselves tells nothing."""
_ALONE, _TOGETHER = 4, 16
"""Users from which on, and up to which, one reading of the catalogue serves several."""
FEW = 1 / 40
"""Share of the catalogue up to which the second look alone costs less than both."""
_AT_ONCE = 1 << 13
"""Vectors widened to float64 at a time."""


class Rounded:
    """Item vectors as bytes: a quarter of the memory of float32 (7 MB for 100,000 items of 64 numbers)."""

    def __init__(self, vectors: Tensor, never: Tensor | None = None, *, like: Rounded | None = None, same: int = 0) -> None:
        """Rounds vectors, which are then kept for the second look.

        Args:
            vectors: float32 (num_items, dim) for which `fits` holds; rows PAD and UNKNOWN are never returned.
            never: bool (num_items,): others that are never returned.
            like: an index whose first `same` vectors are these: only later ones are rounded, in the same steps.
            same: how many.
        """
        self._vectors = vectors.detach().numpy()
        self._size, dim = self._vectors.shape
        length = -(-self._size // _LANES) * _LANES
        out = np.ones(length, bool)
        out[: self._size] = False if never is None else never.numpy()
        out[:FIRST] = True
        self._shut, self._out = out, np.flatnonzero(out)
        # machines multiply bytes four at a time; with a single one to a row torch gets it wrong
        self._whole = torch.zeros(length, -(-dim // 4) * 4, dtype=torch.int8)
        self._item_step = torch.zeros(length)
        self._local = threading.local()
        if like is None:
            same = FIRST
            some = self._vectors[FIRST :: 1 + self._size // 4096].astype(np.float64)
            self._centre = np.median(some, axis=0)
            spread = np.abs(some - self._centre).mean(axis=0)
            self._step = np.where(spread > 0, spread, 1.0)
            self._largest = self._error = self._length = self._weight = 0.0
        else:
            self._whole[:same], self._item_step[:same] = like._whole[:same], like._item_step[:same]
            self._centre, self._step = like._centre, like._step
            self._largest, self._error, self._length, self._weight = like._largest, like._error, like._length, like._weight
        for start in range(same, self._size, _AT_ONCE):
            self._round(start, min(start + _AT_ONCE, self._size))

    def best(
        self,
        users: np.ndarray,
        k: int,
        closed: Sequence[Tensor | None],
        banned: Sequence[np.ndarray],
        among: Sequence[np.ndarray | None] | None = None,
    ) -> list[tuple[np.ndarray, np.ndarray] | None]:
        """The items with the largest dot products with each user, best first; ties to the lower code.

        A value is the dot product in float64 rounded to float32: a matter of the two vectors alone.

        Args:
            users: float32 (batch, dim).
            k: length of the lists.
            closed: bool (num_items,) for each user: items that may not be returned; None for none.
            banned: int64 (bans,) for each user: codes of more such items.
            among: int64 (few,) for each user: the ascending codes that `closed` leaves open, where they are so few (`FEW`) that a first
                look at all items would cost more; None elsewhere.

        Returns:
            For each user values float32 (n,) and codes int64 (n,), n ≤ k; None where scores may not be ordinary numbers, which is none of
            this index's business.
        """
        wide = users.astype(np.float64)
        norms = _norms(wide)
        takes = norms * self._largest < _LARGEST
        if not takes.all():
            rows = np.flatnonzero(takes).tolist()
            picked = None if among is None else [among[row] for row in rows]
            found = iter(self.best(users[rows], k, [closed[row] for row in rows], [banned[row] for row in rows], picked))
            return [next(found) if taken else None for taken in takes]
        lists: list[tuple[np.ndarray, np.ndarray] | None] = []
        few = [None] * len(wide) if among is None else among
        many = [row for row, codes in enumerate(few) if codes is None]
        looked = self._candidates(wide[many], norms[many], k, [closed[row] for row in many], [banned[row] for row in many])
        for user, codes, bans in zip(wide, few, banned, strict=True):
            codes = next(looked) if codes is None else self._allowed(codes, bans)
            values = np.empty(len(codes), np.float32)
            for start in range(0, len(codes), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                wide_items = self._vectors.take(codes[part], axis=0).astype(np.float64)
                values[part] = np.einsum("ij,j->i", wide_items, user)  # each by itself, whatever is beside it
            order = np.lexsort((codes, -values))[:k]
            lists.append((values[order], codes[order]))
        return lists

    def _allowed(self, codes: np.ndarray, banned: np.ndarray) -> np.ndarray:
        """Ascending codes without those that are banned or never returned."""
        keep = ~self._shut[codes]
        place = np.searchsorted(codes, banned)
        hit = place < len(codes)
        hit[hit] = codes[place[hit]] == banned[hit]
        keep[place[hit]] = False
        return codes[keep]

    def _candidates(
        self, users: np.ndarray, norms: np.ndarray, k: int, closed: Sequence[Tensor | None], banned: Sequence[np.ndarray]
    ) -> Iterator[np.ndarray]:
        """For each user, of norms float64 (batch,), codes that the k best are among."""
        scaled = users * self._step
        steps = np.abs(scaled).max(axis=1, initial=0.0) / _levels()
        divisors = np.where(steps > 0, steps, 1.0)
        exact = scaled / divisors[:, None]
        whole = np.rint(exact)
        bounds = _norms(exact) * self._error + _norms(exact - whole) * self._length
        bounds += 2.0**-22 * norms * self._weight / divisors
        rounded = torch.zeros(len(users), self._whole.shape[1], dtype=torch.int8)
        rounded[:, : users.shape[1]] = torch.from_numpy(whole.astype(np.int8))
        together = min(_TOGETHER, len(users)) if len(users) >= _ALONE else 1
        buffer, upper, shut = self._buffers(together)
        for first in range(0, len(users), together):
            some = rounded[first : first + together]
            products = torch._int_mm(some, self._whole.T, out=buffer[: len(some)])
            for row, line in enumerate(products, first):
                tight = bool(bounds[row] < _LOOSE and steps[row] > 0)
                margin = int(1.001 * bounds[row]) + 8 if tight else 0
                upper.copy_(line).add_(margin).mul_(self._item_step)
                if (mask := closed[row]) is not None:
                    shut.copy_(mask.view(torch.uint8))  # ten times as fast as from bool
                    upper[: self._size].sub_(shut, alpha=_CLOSED)
                scores = upper.numpy()
                scores[banned[row]] = -_CLOSED
                scores[self._out] = -_CLOSED
                if tight:
                    yield self._near(scores, k, margin, 2.0**-148 / steps[row])
                else:
                    every = np.flatnonzero(scores > _NEVER)
                    yield every if steps[row] > 0 else every[:k]  # without a step all score the same

    def _buffers(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """This thread's room for products int32 (rows, …), scores float32 (…,) and a mask: fresh memory costs more than what is put there.

        For the same reason no operation on them mixes types: the one would be copied in whole first.
        """
        held: tuple[Tensor, Tensor, Tensor] | None = getattr(self._local, "buffers", None)
        if held is None or len(held[0]) < rows:
            with torch.inference_mode(mode=False):
                length = len(self._whole)
                products, scores = torch.empty(rows, length, dtype=torch.int32), torch.empty(length)
                held = self._local.buffers = products, scores, torch.empty(self._size)
        return held[0][:rows], held[1], held[2]

    def _near(self, scores: np.ndarray, k: int, margin: int, slack: float) -> np.ndarray:
        """Codes, in no order, of the items that may score as high as the k-th best: upper ends of scores float32 (num_items,)."""
        lanes = _LANES
        while lanes > 1 and len(scores) < 4 * k * lanes:
            lanes //= 2
        grid = scores.reshape(lanes, -1)
        highest = grid.max(axis=0)
        enough = _NEVER
        if k <= len(highest):
            columns = np.argpartition(highest, -k)[-k:]
            high = grid[:, columns].argmax(axis=0) * len(highest) + columns
            lower = scores[high] - 2 * margin * self._item_step.numpy()[high]
            enough = max(float(lower.min()) - slack, _NEVER)
        columns = np.flatnonzero(highest >= enough)
        lane, column = np.nonzero(grid[:, columns] >= enough)
        return lane * len(highest) + columns[column]

    def _round(self, start: int, stop: int) -> None:
        vectors = self._vectors[start:stop].astype(np.float64)
        moved = (vectors - self._centre) / self._step
        norms = _norms(vectors)
        steps = np.abs(moved).max(axis=1) / _levels()
        # an item much nearer to the centre than to zero needs no finer step than float32 has for its score
        steps = (
            np.maximum(steps, norms / np.linalg.norm(self._step) / (1 << 16)).clip(1 / _LARGEST, _LARGEST).astype(np.float32)
        )
        exact = moved / steps[:, None]
        whole = np.rint(exact).clip(-_levels(), _levels())
        self._whole[start:stop, : vectors.shape[1]] = torch.from_numpy(whole.astype(np.int8))
        self._item_step[start:stop] = torch.from_numpy(steps)
        self._error = max(self._error, float(_norms(exact - whole).max()))
        self._length = max(self._length, float(_norms(whole).max()))
        self._weight = max(self._weight, float((norms / steps).max()))
        self._largest = max(self._largest, float(norms.max()))


def fits(vectors: Tensor) -> bool:
    """Whether vectors (num_items, dim) can be rounded: on the CPU, float32, of ordinary numbers, not too wide."""
    if vectors.device.type != "cpu" or vectors.dtype != torch.float32 or not 0 < vectors.shape[1] <= WIDEST:
        return False
    low, high = torch.aminmax(vectors)  # NaN where there is one
    return bool(high.abs() < 1e12) and bool(low.abs() < 1e12)


def _norms(vectors: np.ndarray) -> np.ndarray:
    """The length of each row, float64 (n,)."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


@functools.cache
def _levels() -> int:
    """The largest integer whose products this machine sums exactly: without byte instructions of their own, sums of pairs saturate."""
    ends = torch.full((1, _LANES), 127, dtype=torch.int8)
    signs = torch.ones(2 * _LANES, _LANES, dtype=torch.int8)
    signs[1::2] = -1
    found = torch._int_mm(ends, (signs * 127).T)[0]
    return 127 if torch.equal(found.abs(), torch.full_like(found, 127 * 127 * _LANES)) else 63
