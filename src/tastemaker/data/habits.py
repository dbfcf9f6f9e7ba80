"""What the training side says about settings that nobody gave."""

from __future__ import annotations

import numpy as np

from tastemaker.data.interactions import Interactions


def usual_length(interactions: Interactions, *, least: int = 10, most: int = 200) -> int:
    """The number of events that 19 of 20 users do not exceed, within `least` and `most`."""
    lengths = np.bincount(interactions.user)
    return int(np.clip(np.quantile(lengths[lengths > 0], 0.95), least, most)) if len(interactions) else least


def sparse_dropout(interactions: Interactions, *, least: float = 0.1, most: float = 0.5) -> float:
    """The dropout that suits sparse data: `most` where items have 16 events each, falling with their logarithm to `least` at 100."""
    per_item = len(interactions) / max(1, len(np.unique(interactions.item)))
    scarcity = 1 - np.log(max(per_item, 1.0) / 16) / np.log(100 / 16)
    return round(float(np.clip(least + (most - least) * scarcity, least, most)), 2)
