"""What the training side says about settings of sequence models that nobody gave."""

from __future__ import annotations

from typing import Any

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


def suited(config: Any, interactions: Interactions) -> Any:
    """The config of a sequence model with length and dropout, where they were left open, chosen from the training side.

    Length: what 19 of 20 users need, 10 … the default. Dropout: .5 where items have 16 events each, down to .1 where they have 100.
    """
    fields, dropout = type(config).model_fields, sparse_dropout(interactions)
    chosen: dict[str, Any] = {"max_length": usual_length(interactions, most=fields["max_length"].default)}
    chosen |= {name: dropout for name in ("dropout", "dropout_embedding", "dropout_hidden") if name in fields}
    return config.model_copy(update={key: value for key, value in chosen.items() if key not in config.model_fields_set})
