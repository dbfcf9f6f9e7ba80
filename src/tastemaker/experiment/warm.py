"""Warm start: a fresh model begins with the weights of an earlier one, row by row of what both know.

Rows of users and items are matched by id, so the earlier model may have been made with other vocabularies; what it did not know keeps its
first weights. Parameters with as many rows as there are codes, now and then, have a row per code (where users and items are equally many, the
names tell: `user_…`, `item_…`); of all others the rows that both have are taken (positions count from the newest event, so that a longer
history keeps what a shorter one had). Buffers are statistics of the training side and are
never taken.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tastemaker.data.dataset import Dataset
from tastemaker.data.vocabulary import FIRST, UNKNOWN, Vocabulary
from tastemaker.experiment.fit import is_solved
from tastemaker.models.base import Model
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender

SPLITS = ("leave_last", "by_time")
"""Splits whose test side stays unknown: what an earlier model learned from is never later than what a later one is asked about."""


def start_from(model: Model, dataset: Dataset, folder: Path | str, split: str) -> str:
    """Copies the weights of the artifact in `folder` into `model`, in place; returns a note for the report.

    Raises:
        ArtifactError: no sound artifact.
    """
    if is_solved(model):
        return "no warm start: the model is solved in one step"
    if split not in SPLITS:
        return f"no warm start: with split.kind = {split!r} the earlier model may have learned from the test side"
    return warm(model, dataset, artifact.load(folder))


def warm(model: Model, dataset: Dataset, earlier: Recommender) -> str:
    """As `start_from`, from a recommender."""
    if type(earlier.model) is not type(model):
        return f"no warm start: the earlier model is a {type(earlier.model).__name__}"
    sides = {
        "user_": _Side(dataset.users, earlier.users),
        "item_": _Side(dataset.items, earlier.items),
    }
    old, taken = dict(earlier.model.named_parameters()), 0
    with torch.no_grad():
        for name, weights in model.named_parameters():
            source = old.get(name)
            if source is None or source.dim() != weights.dim() or source.shape[1:] != weights.shape[1:]:
                continue
            taken += 1
            if not weights.dim():
                weights.copy_(source)
                continue
            fitting = [prefix for prefix, side in sides.items() if side.sizes == (len(weights), len(source))]
            named = [prefix for prefix in fitting if any(part.startswith(prefix) for part in name.split("."))]
            both = torch.arange(min(len(weights), len(source)))
            here, there = sides[(named or fitting)[0]].rows if fitting else (both, both)
            weights[here] = source[there].to(weights)
    if not taken:
        return "no warm start: the earlier model has other sizes"
    counts = {prefix: len(side.rows[0]) - FIRST for prefix, side in sides.items()}
    return f"began with the weights of an earlier version: {counts['user_']:,} users and {counts['item_']:,} items in common"


class _Side:
    """Users, or items, of both: how many codes there are now and were then, and the codes of what both know."""

    def __init__(self, now: Vocabulary, before: Vocabulary) -> None:
        self.sizes = (now.size, before.size)
        codes = np.concatenate([np.arange(FIRST, dtype=np.int32), before.encode(now.ids)])
        held = codes != UNKNOWN
        held[UNKNOWN] = True  # PAD and UNKNOWN are the same in both
        self.rows = torch.from_numpy(np.flatnonzero(held)), torch.from_numpy(codes[held].astype(np.int64))
