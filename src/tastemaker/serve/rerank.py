"""From the best candidates to the list: rotation, diversity, caps, pins, cut."""

from __future__ import annotations

import numpy as np

from tastemaker.recommend import policy
from tastemaker.serve.asks import Row
from tastemaker.serve.view import View


def first_depth(row: Row, pool: int, size: int) -> int:
    """Candidates to look at to begin with."""
    request = row.request
    depth = request.limit + len(row.pins) + sum(ask.request.limit for ask in row.ask.shelves)
    if request.diversity or request.rotation or request.max_per:
        depth = max(2 * depth, pool)
    return min(depth, size)


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
    need = request.limit - len(row.pins) - len(row.head)
    capped = bool(request.max_per)
    if request.rotation is not None and len(codes):
        order = codes
        period = now // int(request.rotation.seconds * 1_000_000)
        order = policy.rotated(order, need, request.rotation.rate, period, request.user_id or "")
        codes, scores = _in_order(codes, scores, order)
    if request.diversity and len(codes):
        vectors = _vectors(view, codes)
        if vectors is None:
            row.warn("diversity_unavailable")
        else:
            limit = len(codes) if capped else need
            order = policy.mmr(codes, scores, vectors, request.diversity, limit)
            codes, scores = _in_order(codes, scores, order)
    found = [*row.head, *codes.tolist()]
    for name, cap in request.max_per.items():
        rows = view.rows[np.asarray(found, np.int64)]
        kept = policy.max_per(rows, view.stock.columns.labels(name), cap, len(found))
        found = [found[place] for place in kept]
    return found[: request.limit - len(row.pins)]


def with_pins(row: Row, found: list[int]) -> list[int]:
    """The list with each pinned item at its place, or at the end of a list that does not reach so far."""
    return [int(code) for code in policy.pins(np.asarray(found, np.int64), row.pins, row.request.limit)] if row.pins else found


def _in_order(codes: np.ndarray, scores: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place = {code: index for index, code in enumerate(codes.tolist())}
    places = [place[code] for code in np.asarray(order).tolist()]
    return codes[places], scores[places]


def _vectors(view: View, codes: np.ndarray) -> np.ndarray | None:
    """Vectors (n, dim) whose angle says how alike two items are: the model's."""
    if view.scoring is None or view.scoring.vectors is None:
        return None
    return view.scoring.vectors[codes.astype(np.int64)].numpy()
