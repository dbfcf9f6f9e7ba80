"""Ways through two stages: which sources named an item, what the ranker made of it, and what it read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tastemaker.data.vocabulary import FIRST
from tastemaker.serve.asks import Row, Staged
from tastemaker.serve.desk import Desk
from tastemaker.serve.two_stage import asked
from tastemaker.serve.view import View
from tastemaker.wire.bodies import Step


def line(staged: Staged, size: int) -> np.ndarray:
    """The scores that a list was chosen from, float32 (size,): -inf for what is no candidate."""
    found = np.full(size, -np.inf, np.float32)
    found[staged.codes] = staged.scores
    return found


def retrieved(row: Row, unmasked: Row, desk: Desk, view: View, code: int) -> Step:
    """Where each source has the item among all there are, and whether any named it."""
    assert row.staged is not None and view.stages is not None
    place = _place(row.staged, code)
    found = 0 if place is None else int(row.staged.found[place])
    told = []
    for bit, source in enumerate(view.stages.sources):
        scores = desk.retriever.line(unmasked, view, None, desk.retriever.ask(source, [unmasked], view))
        rank = 1 + int((scores > scores[code]).sum()) + int((scores[:code] == scores[code]).sum())
        named = "named by" if found >> bit & 1 else "not named by"
        told.append(f"{named} {source.name}: place {rank} of {view.size - FIRST} before anything is left out")
    return Step(stage="retrieve", passed=bool(found), detail="; ".join(told))


def ranked(staged: Staged, view: View, code: int) -> list[Step]:
    """What the ranker made of a candidate; nothing of what is none."""
    assert view.stages is not None and view.stages.predictor is not None
    place = _place(staged, code)
    if place is None:
        return []
    score = float(staged.scores[place])
    rank = 1 + int((staged.scores > score).sum()) + int((staged.codes[staged.scores == score] < code).sum())
    of = f"place {rank} of {len(staged.codes)} candidates"
    if not staged.ranked:
        return [Step(stage="rank", passed=True, detail=f"in the order of the sources, since the ranker did not answer: {of}")]
    return [
        Step(stage="rank", passed=True, detail=f"log odds {score:.4g}, a chance of {_chance(score):.2%}, boosts included: {of}")
    ]


def features(row: Row, view: View, code: int, now: int) -> dict[str, Any] | None:
    """The columns of a candidate's row; None of what is no candidate."""
    assert row.staged is not None and view.stages is not None
    place = _place(row.staged, code)
    if place is None:
        return None
    moments, request = view.stages.moments, asked([row], view.stages, now)
    assert view.stages.predictor is not None
    columns: dict[str, Any] = {"item": view.ids[code]}
    columns |= {f"item.{name}": value for name, value in view.properties(code).items()}
    columns["history"] = [view.ids[one] for one in row.past.codes[-moments.config.history :]]
    columns |= {name: values[0] for name, values in moments.request_columns(request).items()}
    columns |= {name: values[place] for name, values in moments.pair_columns(request).items()}
    read = set(view.stages.predictor.encoder.columns)
    return {name: _plain(value) for name, value in columns.items() if name in read}


def _place(staged: Staged, code: int) -> int | None:
    found = np.flatnonzero(staged.codes == code)
    return int(found[0]) if len(found) else None


def _chance(score: float) -> float:
    return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))


def _plain(value: Any) -> Any:
    """A value as JSON has it; null for no number."""
    value = value.as_py() if hasattr(value, "as_py") else value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value.isoformat() if hasattr(value, "isoformat") else value
