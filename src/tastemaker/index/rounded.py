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
        self._out = np.flatnonzero(out)
        # machines multiply bytes four at a time; with a single one to a row torch gets it wrong
        self._whole = torch.zeros(length, -(-dim // 4) * 4, dtype=torch.int8)
        self._item_step = torch.zeros(length)
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

    def takes(self, user: np.ndarray) -> bool:
        """Whether all scores of a vector, float32 (dim,), are ordinary numbers; others are none of this index's business."""
        return bool(np.linalg.norm(user.astype(np.float64)) * self._largest < _LARGEST)

    def best(self, user: np.ndarray, k: int, closed: Tensor | None, banned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The items with the largest dot products: values float32 (n,), codes int64 (n,), n ≤ k, best first; ties to the lower code.

        A value is the dot product in float64 rounded to float32: a matter of the two vectors alone.

        Args:
            user: float32 (dim,), one that the index `takes`.
            k: length of the list.
            closed: bool (num_items,): items that may not be returned.
            banned: int64 (bans,): codes of more such items.
        """
        wide = user.astype(np.float64)
        codes = self._candidates(wide, k, closed, banned)
        values = np.empty(len(codes), np.float32)
        for start in range(0, len(codes), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            values[part] = (self._vectors[codes[part]] * wide).sum(
                axis=1
            )  # row by row, so that none depends on what is beside it
        order = np.lexsort((codes, -values))[:k]
        return values[order], codes[order]

    def _candidates(self, user: np.ndarray, k: int, closed: Tensor | None, banned: np.ndarray) -> np.ndarray:
        """Codes, ascending, that the k best are among."""
        scaled = user * self._step
        step = np.abs(scaled).max() / _levels()
        exact = scaled / step if step else scaled
        whole = np.rint(exact)
        bound = np.linalg.norm(exact) * self._error + np.linalg.norm(exact - whole) * self._length
        bound += 2.0**-22 * np.linalg.norm(user) * self._weight / step if step else 0.0
        tight = bound < _LOOSE
        margin = int(1.001 * bound) + 8 if tight else 0
        rounded = torch.zeros(1, self._whole.shape[1], dtype=torch.int8)
        rounded[0, : len(whole)] = torch.from_numpy(whole.astype(np.int8))
        products = torch._int_mm(rounded, self._whole.T)[0]
        upper = torch.mul(products.add_(margin), self._item_step)
        if closed is not None:
            upper[: self._size].sub_(closed.view(torch.int8), alpha=_CLOSED)
        scores = upper.numpy()
        scores[banned] = -_CLOSED
        scores[self._out] = -_CLOSED
        if not step:  # all score the same
            return np.flatnonzero(scores > _NEVER)[:k]
        if not tight:
            return np.flatnonzero(scores > _NEVER)
        high = _high(scores, k)
        lower = scores[high] - 2 * margin * self._item_step.numpy()[high] if len(high) == k else _NEVER
        enough = float(np.min(lower)) - 2.0**-148 / step
        return np.flatnonzero(scores >= max(enough, _NEVER))

    def _round(self, start: int, stop: int) -> None:
        vectors = self._vectors[start:stop].astype(np.float64)
        moved = (vectors - self._centre) / self._step
        norms = np.linalg.norm(vectors, axis=1)
        steps = np.abs(moved).max(axis=1) / _levels()
        # an item much nearer to the centre than to zero needs no finer step than float32 has for its score
        steps = (
            np.maximum(steps, norms / np.linalg.norm(self._step) / (1 << 16)).clip(1 / _LARGEST, _LARGEST).astype(np.float32)
        )
        exact = moved / steps[:, None]
        whole = np.rint(exact).clip(-_levels(), _levels())
        self._whole[start:stop, : vectors.shape[1]] = torch.from_numpy(whole.astype(np.int8))
        self._item_step[start:stop] = torch.from_numpy(steps)
        self._error = max(self._error, float(np.linalg.norm(exact - whole, axis=1).max()))
        self._length = max(self._length, float(np.linalg.norm(whole, axis=1).max()))
        self._weight = max(self._weight, float((norms / steps).max()))
        self._largest = max(self._largest, float(norms.max()))


def fits(vectors: Tensor) -> bool:
    """Whether vectors (num_items, dim) can be rounded: on the CPU, float32, of ordinary numbers, not too wide."""
    if vectors.device.type != "cpu" or vectors.dtype != torch.float32 or not 0 < vectors.shape[1] <= WIDEST:
        return False
    low, high = torch.aminmax(vectors)  # NaN where there is one
    return bool(high.abs() < 1e12) and bool(low.abs() < 1e12)


def _high(scores: np.ndarray, k: int) -> np.ndarray:
    """Places of k high scores, close to the highest."""
    lanes = _LANES
    while lanes > 1 and len(scores) < 4 * k * lanes:
        lanes //= 2
    grid = scores.reshape(lanes, -1)
    highest = grid.max(axis=0)
    columns = np.argpartition(highest, -k)[-k:] if k < len(highest) else np.arange(len(highest))
    return grid[:, columns].argmax(axis=0) * grid.shape[1] + columns


@functools.cache
def _levels() -> int:
    """The largest integer whose products this machine sums exactly: without byte instructions of their own, sums of pairs saturate."""
    ends = torch.full((1, _LANES), 127, dtype=torch.int8)
    signs = torch.ones(2 * _LANES, _LANES, dtype=torch.int8)
    signs[1::2] = -1
    found = torch._int_mm(ends, (signs * 127).T)[0]
    return 127 if torch.equal(found.abs(), torch.full_like(found, 127 * 127 * _LANES)) else 63
