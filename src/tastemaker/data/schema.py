"""FeatureSchema: what a model needs to know about the data to be built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeatureSchema:
    """Sizes of the code spaces, PAD (0) and UNKNOWN (1) included."""

    num_users: int
    num_items: int
