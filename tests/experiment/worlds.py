"""A world in which it depends on the length of the history whom to believe."""

from __future__ import annotations

import numpy as np

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.data.splits import TEST, TRAIN, VALIDATION, Split
from tastemaker.data.vocabulary import FIRST, Vocabulary

CIRCLE, HITS = 20, 5


def hits_and_circles(seed: int = 0) -> tuple[Dataset, Split]:
    """Sixty users go round a circle of twenty items for long; a hundred and twenty have met one thing of it and now go for a hit.

    A hundred more only ever took hits, of which there are five, so these lead in popularity. Of a short history the sequence says where the
    circle goes on, which is wrong; of a long one popularity says the hits, which is wrong.
    """
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for user in range(60):
        rows += [(user, (user + step) % CIRCLE) for step in range(17)]
        labels += [TRAIN] * 15 + [VALIDATION, TEST]
    for user in range(60, 180):
        rows += [(user, rng.integers(CIRCLE)), (user, CIRCLE + rng.integers(HITS))]
        labels += [TRAIN, VALIDATION if user % 2 else TEST]
    for user in range(180, 280):
        rows += [(user, CIRCLE + hit) for hit in rng.permutation(HITS)]
        labels += [TRAIN] * HITS
    users, items = np.array(rows).T
    count = len(rows)
    interactions = Interactions(
        user=(users + FIRST).astype(np.int32),
        item=(items + FIRST).astype(np.int32),
        time=np.arange(count, dtype=np.int64) * 3_600_000_000,
        value=np.ones(count, np.float32),
        kind=np.zeros(count, np.int8),
        side=np.full(count, -1, np.int8),
    )
    vocabularies = [Vocabulary([f"{word}{n}" for n in range(size)]) for word, size in (("u", 280), ("i", CIRCLE + HITS))]
    return Dataset(*vocabularies, interactions), Split(interactions, np.array(labels, np.int8), "given")
