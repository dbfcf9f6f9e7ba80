"""Re-ranking: what a shop wants of a list besides what the model thinks. Pure functions on arrays; a list is best first.

| stage | what it does | what it returns |
|---|---|---|
| `boosted` | raises or lowers the scores of items that match | scores |
| `max_per` | lets at most so many items of a label through | places of the list, ascending |
| `mmr`, `dpp` | trade relevance for variety | places of the list, in the new order |
| `rotated` | changes some places of the list from period to period | places of the list, in the new order |
| `pins` | puts items at fixed ranks | codes |

Ties go to the earlier place, hence to the lower item code where the list was made so. `limit` is the length wanted; a list that has
less gives less.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from tastemaker.recommend.filters import Labels


def boosted(
    scores: np.ndarray, masks: Sequence[np.ndarray], weights: Sequence[float], spread: float | np.ndarray = 1.0
) -> np.ndarray:
    """Scores with boosts: score + spread · Σ log(weight) over the boosts whose mask the item is in.

    With scores that are logits (spread 1) an item's odds, and its share in a softmax, are multiplied by the weight: as if the
    model found it weight times as likely. Other scores have no such unit; the standard deviation of the eligible scores takes its
    place. A weight of 1 changes nothing, above 1 raises, below 1 lowers; -inf stays.

    Args:
        scores: float32 (…, items).
        masks: bool (items,) each.
        weights: above 0, one a mask.
        spread: 1, or what takes its place; an array is broadcast against the scores (one number a row: (rows, 1)).
    """
    shift = np.zeros(scores.shape[-1], np.float32)
    for mask, weight in zip(masks, weights, strict=True):
        shift += mask * np.float32(np.log(weight))
    return (scores + np.asarray(spread, np.float32) * shift).astype(np.float32)


def max_per(codes: np.ndarray, caps: Sequence[tuple[Labels, int]], limit: int) -> np.ndarray:
    """Places of the items that may stay so that no label has more than its cap: int64 (at most `limit`,), ascending.

    Goes down the list and keeps what still fits, which is the best list under the caps in the order of the first difference. An
    item with several labels counts for each of them, and needs room in each; one without labels always stays.

    Args:
        codes: int (pool,): item codes, best first.
        caps: labels by item code, and how many items may share one; all caps hold together.
        limit: places wanted.
    """
    rooms: list[dict[int, int]] = [{} for _ in caps]
    pool = [
        (room, cap, labels.offsets[codes].tolist(), labels.offsets[codes + 1].tolist(), labels.values)
        for room, (labels, cap) in zip(rooms, caps, strict=True)
    ]
    kept: list[int] = []
    for place in range(len(codes)):
        if len(kept) >= limit:
            break
        held = [(room, cap, values[starts[place] : ends[place]].tolist()) for room, cap, starts, ends, values in pool]
        if all(room.get(label, 0) < cap for room, cap, labels in held for label in labels):
            for room, _cap, labels in held:
                for label in labels:
                    room[label] = room.get(label, 0) + 1
            kept.append(place)
    return np.asarray(kept, dtype=np.int64)


def mmr(relevance: np.ndarray, vectors: np.ndarray, weight: float, limit: int) -> np.ndarray:
    """Maximal marginal relevance (Carbonell & Goldstein 1998, "The use of MMR, diversity-based reranking…"): int64 places.

    Takes, again and again, the item with the largest (1 - weight) · relevance - weight · max likeness to those taken. The paper's
    λ is 1 - weight. Relevance is rescaled to 0…1 over the pool, since scores have no unit of their own (the paper's are cosines);
    likeness is the cosine.

    Args:
        relevance: float (pool,), descending.
        vectors: float (pool, dim): of the items; a zero vector is like nothing.
        weight: 0 keeps the order, 1 looks at variety alone.
        limit: places wanted.
    """
    limit = min(limit, len(relevance))
    if weight == 0:
        return np.arange(limit)
    gain, units = (1 - weight) * _rescaled(relevance), _units(vectors)
    nearest = np.full(len(gain), -np.inf)
    left = np.ones(len(gain), bool)
    taken = np.zeros(limit, np.int64)
    for step in range(limit):
        worth = gain - weight * nearest if step else gain
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        taken[step], left[best] = best, False
        nearest = np.maximum(nearest, units @ units[best])
    return taken


def dpp(relevance: np.ndarray, vectors: np.ndarray, weight: float, limit: int) -> np.ndarray:
    """Greedy MAP inference of a determinantal point process (Chen, Zhang & Zhou 2018, NeurIPS, algorithm 1): int64 places.

    Takes, again and again, the item that adds most to (1 - weight) · Σ relevance + weight · log det S over those taken, which is
    the paper's equation 11 with θ = 1 - weight; S = (1 + cosine) / 2 as in its §6, so that opposites are unlike. The kernel is
    never built: a Cholesky factor grows by a row each step, so the price is pool · limit · (dim + limit).

    Deviations: gains are added as logarithms instead of multiplied into the kernel, so that no weight overflows; relevance is
    rescaled to 0…1 over the pool; where what is left lies in the span of what is taken (the paper stops there), the rest follows
    in its order.

    Args:
        relevance: float (pool,), descending.
        vectors: float (pool, dim): of the items.
        weight: 0 keeps the order, 1 looks at variety alone.
        limit: places wanted.
    """
    limit = min(limit, len(relevance))
    if weight == 0:
        return np.arange(limit)
    gain, units = (1 - weight) * _rescaled(relevance), _units(vectors)
    factor = np.zeros((limit, len(gain)))
    variance = np.ones(len(gain))
    left = np.ones(len(gain), bool)
    taken = np.zeros(limit, np.int64)
    for step in range(limit):
        open_ = left & (variance > _SPANNED)
        if not open_.any():
            taken[step:] = np.flatnonzero(left)[: limit - step]
            break
        worth = np.full(len(gain), -np.inf)
        worth[open_] = gain[open_] + weight * np.log(variance[open_])
        best = int(np.argmax(worth))
        taken[step], left[best] = best, False
        likeness = (1 + units @ units[best]) / 2
        likeness[best] = 1.0
        row = (likeness - factor[:step, best] @ factor[:step]) / np.sqrt(variance[best])
        factor[step] = row
        variance = variance - row**2
    return taken


_SPANNED = 1e-9
"""A conditional variance below this is rounding: the item is a mixture of those taken."""


def rotated(size: int, limit: int, rate: float, period: int, key: str) -> np.ndarray:
    """Places of a list of `size` in which some of the first `limit` gave way to items just below the cut: int64 places.

    Each place of the list changes with probability `rate`, independently; what comes in is drawn from the `limit` places after
    the cut, each as likely, and takes the place of what goes out. Where fewer items follow than places change, the first of those
    places keep theirs. The same `key` (a user, say) and `period` (the number of the hour, say) give the same list.

    Args:
        size: length of the list.
        limit: length of what is shown.
        rate: expected share of the places that change, 0…1.
        period: which stretch of time it is.
        key: whose list it is.
    """
    limit = min(limit, size)
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{period}\0{key}".encode(errors="surrogatepass")).digest()))
    places = np.arange(limit)
    changing = np.flatnonzero(rng.random(limit) < rate)
    below = limit + rng.permutation(min(limit, size - limit))
    count = min(len(changing), len(below))
    places[changing[len(changing) - count :]] = below[:count]
    return places


def pins(codes: np.ndarray, pinned: Mapping[int, int], limit: int) -> np.ndarray:
    """The list with items at fixed ranks, nothing twice, the rest in its order around them: int32 (at most `limit`,).

    Where the list is too short to reach a rank, its pin stands right after the others. Of an item pinned twice the better rank
    counts; ranks beyond `limit` do not.

    Args:
        codes: int (pool,): item codes, best first.
        pinned: rank, from 1, to item code.
        limit: places wanted.
    """
    at: dict[int, int] = {}
    for rank in sorted(pinned):
        if rank <= limit and pinned[rank] not in at.values():
            at[rank - 1] = pinned[rank]
    fixed = np.fromiter(at.values(), np.int32)
    rest = codes[~np.isin(codes, fixed)].astype(np.int32)
    length = min(limit, len(rest) + len(fixed))
    # A pin has at least as many free places before it as it needs, counted from the end.
    spots = np.minimum(np.fromiter(at, np.int64), length - len(fixed) + np.arange(len(fixed)))
    result = np.empty(length, np.int32)
    free = np.ones(length, bool)
    free[spots] = False
    result[spots] = fixed
    result[free] = rest[: int(free.sum())]
    return result


def _rescaled(relevance: np.ndarray) -> np.ndarray:
    low, high = relevance.min(initial=np.inf), relevance.max(initial=-np.inf)
    return (relevance - low) / (high - low) if high > low else np.zeros(len(relevance))


def _units(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)
