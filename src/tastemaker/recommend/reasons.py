"""Why an item was recommended: which events of the history its score stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.models.base import Explains, Model, Query
from tastemaker.recommend.candidates import Scorer

NEWEST = 100
"""Distinct items of a history that attribution by deletion looks at, newest first: the price is a scoring for each."""

_NOISE, _FLOOR = 1e-5, 1e-6
"""Differences of scores below this share of the score, or that of the largest score of the catalogue, are rounding, not effects."""


@dataclass(frozen=True)
class Reason:
    """An item of the user's history that raised the score of a recommendation."""

    item: Any
    """id of the history item"""
    name: str
    """its name in the catalogue, or its id as text"""
    share: float
    """its part, in 0…1, of all that spoke for the recommendation; shares of all reasons sum to 1"""

    @property
    def text(self) -> str:
        """The reason as people read it."""
        return f"because of {self.name}"


def effects(
    model: Model, score: Scorer, user: int, history: Histories, items: np.ndarray, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """How much each distinct item of one history adds to the scores of `items`.

    Models that can (`Explains`) tell it from their own arithmetic. For any other the effect of a history item is what the score
    loses when its events are deleted from the history and the model is asked again.

    Args:
        model: the model asked.
        score: its scoring function.
        user: the user's code, UNKNOWN for none.
        history: a single row.
        items: int (n,): item codes whose scores are to be explained.
        device: where the model is.

    Returns:
        sources, int32 (m,): distinct item codes of the history, newest first; and effects, float32 (m, n).
    """
    codes = torch.from_numpy(items.astype(np.int64)).to(device)
    with torch.inference_mode():
        if isinstance(model, Explains):
            copies = Query.of(np.full(len(items), user), history.take(np.zeros(len(items), np.int64))).to(device)
            return _summed(history.row(0), model.contributions(copies, codes).reshape(len(items), -1).T.cpu().numpy())
        sources, variants = _variants(history)
        scores = score(Query.of(np.full(len(variants), user), variants).to(device), codes).float().cpu().numpy()
        all_codes = torch.arange(FIRST, model.schema.num_items, device=device)
        largest = float(score(Query.of(np.array([user]), history).to(device), all_codes).abs().max())
    effect = scores[0] - scores[1:]
    return sources, np.where(np.abs(effect) > np.maximum(_NOISE * np.abs(scores[0]), _FLOOR * largest), effect, 0)


def strongest(effect: np.ndarray, limit: int) -> list[tuple[int, float]]:
    """Places of the `limit` sources that add most, with their share of all that adds; ties to the newer, none that adds nothing."""
    gain = np.maximum(effect, 0)
    total = float(gain.sum())
    order = np.argsort(-gain, kind="stable")[:limit]
    return [(int(place), float(gain[place]) / total) for place in order if gain[place] > 0]


def _summed(row: np.ndarray, contributions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contributions of events (events, n) summed over events of the same item."""
    sources, event_source = _distinct(row)
    effect = np.zeros((len(sources), contributions.shape[1]), dtype=np.float32)
    known = event_source >= 0
    np.add.at(effect, event_source[known], contributions[known])
    return sources, effect


def _variants(history: Histories) -> tuple[np.ndarray, Histories]:
    """The sources of a history, and it followed by its copies that lack the events of one source each."""
    row = history.row(0)
    sources, event_source = _distinct(row)
    sources = sources[:NEWEST]
    kept = np.concatenate([np.ones((1, len(row)), bool), event_source != np.arange(len(sources))[:, None]])
    places = np.nonzero(kept)[1]
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return sources, Histories(row[places], history.times[places], history.values[places], offsets)


def _distinct(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct known items of a history, newest first, and the place among them of each event (-1 for unknown items)."""
    codes, newest_back, inverse = np.unique(row[::-1], return_index=True, return_inverse=True)
    order = np.argsort(newest_back)
    order = order[codes[order] > UNKNOWN]
    place = np.full(len(codes), -1)
    place[order] = np.arange(len(order))
    return codes[order].astype(np.int32), place[inverse][::-1]
