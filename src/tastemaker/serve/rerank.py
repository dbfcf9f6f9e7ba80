"""From the best candidates to the list: diversity, caps, rotation, pins, cut."""

from __future__ import annotations

import numpy as np

from tastemaker.recommend import policy
from tastemaker.serve.asks import Row
from tastemaker.serve.view import View


def first_depth(row: Row, pool: int, size: int, least: int = 0, others: int = 0) -> int:
    """Candidates to look at to begin with: `least` of them, or more; `others` may be taken by shelves before."""
    request = row.request
    depth = request.limit + len(row.pins) + others
    if request.diversity or request.rotation or request.max_per:
        depth = max(2 * depth, pool)
    return min(max(depth, least), size)


def chosen(row: Row, view: View, codes: np.ndarray, scores: np.ndarray, taken: set[int], now: int) -> list[int]:
    """The list but for its pins: what stands at its head already, then the candidates in the order of all stages.

    Args:
        row: the request.
        view: what it sees.
        codes: int32 (n,): candidates, best first.
        scores: float32 (n,).
        taken: codes of other shelves, which may not come again.
        now: µs.
    """
    if taken:
        stays = np.array([code not in taken for code in codes.tolist()], bool)
        codes, scores = codes[stays], scores[stays]
    request = row.request
    need = request.limit - len(row.pins)
    if request.diversity and len(codes):
        vectors = _vectors(view, codes)
        if vectors is None:
            row.warn("diversity_unavailable")
        else:
            deep = len(codes) if request.max_per or request.rotation else need
            codes = codes[policy.mmr(scores, vectors, request.diversity, deep)]
    found = np.concatenate([np.asarray(row.head, np.int64), codes])
    if request.max_per:
        caps = [(view.stock.columns.labels(name), cap) for name, cap in request.max_per.items()]
        found = found[policy.max_per(view.rows[found], caps, len(found))]
    if request.rotation is not None:
        period = now // max(1, int(request.rotation.seconds * 1_000_000))
        found = found[policy.rotated(len(found), need, request.rotation.rate, period, request.user_id or "")]
    return [int(code) for code in found[:need]]


def with_pins(row: Row, found: list[int]) -> list[int]:
    """The list with each pinned item at its rank, or at the end of a list that does not reach so far."""
    return policy.pins(np.asarray(found, np.int64), row.pins, row.request.limit).tolist() if row.pins else found


def _vectors(view: View, codes: np.ndarray) -> np.ndarray | None:
    """Vectors (n, dim) whose angle says how alike two items are: the model's."""
    if view.scoring is None or view.scoring.vectors is None:
        return None
    return view.scoring.vectors[codes.astype(np.int64)].numpy()
