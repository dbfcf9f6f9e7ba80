"""Lists made of one line of scores: the best items under a gate, in the envelope."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch

from tastemaker.data.vocabulary import FIRST
from tastemaker.index.exact import top_k
from tastemaker.serve.envelope import model_name
from tastemaker.serve.masks import Gate
from tastemaker.serve.view import View
from tastemaker.wire.bodies import Answer, Counts, Shelf


def best_of(line: np.ndarray, gate: Gate, banned: Iterable[int], limit: int) -> tuple[list[int], list[float]]:
    """Codes and scores of the `limit` best items of float32 (size,) that may be shown; -inf means not at all."""
    if len(line) <= FIRST:
        return [], []
    scores = torch.from_numpy(np.where(gate.open, line, -np.inf).astype(np.float32))
    scores[list(banned)] = -torch.inf
    values, codes = top_k(scores[None], min(limit, len(line)))
    found = codes[0] > 0
    return codes[0][found].tolist(), values[0][found].tolist()


def listed(
    view: View,
    codes: Sequence[int],
    scores: Sequence[float | None],
    sources: Sequence[str],
    *,
    limit: int,
    gate: Gate,
    started: float,
    include: Sequence[str] = (),
    status: Literal["ok", "degraded", "fallback"] = "ok",
    fallback: str | None = None,
    warnings: Sequence[str] = (),
) -> Answer:
    """The envelope of a list that has no next page."""
    items = []
    for rank, (code, score, source) in enumerate(zip(codes, scores, sources, strict=True), start=1):
        shelf = Shelf(item_id=view.ids[code], rank=rank, source=source)
        if "score" in include:
            shelf.score = score
        if "properties" in include:
            shelf.properties = view.properties(code)
        items.append(shelf)
    short = ["insufficient_candidates"] if len(items) < limit else []
    return Answer(
        recommendation_id=None,
        items=items,
        status=status,
        fallback=fallback,
        warnings=[*warnings, *short],
        model=model_name(view) if view.model_name in sources else None,
        counts=Counts(candidates=gate.candidates, filtered_rule=gate.filtered_rule, filtered_unavailable=gate.unavailable),
        took_ms=round((time.perf_counter() - started) * 1000, 3),
    )
