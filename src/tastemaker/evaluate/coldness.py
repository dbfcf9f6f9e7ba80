"""Coldness: the questions of a side parted by how much was known of the item asked for, and of the user who asks.

| part                    | relevant items                                  | candidates                          | users               |
|-------------------------|-------------------------------------------------|-------------------------------------|---------------------|
| `items/cold`            | those without a training interaction            | the catalogue                       | who ask for one     |
| `items/few`             | those with 1…5                                  | the catalogue                       | who ask for one     |
| `items/many`            | those with more                                 | the catalogue                       | who ask for one     |
| `items/cold_among_cold` | those without a training interaction            | items without a training interaction | who ask for one    |
| `items/warm_among_warm` | those with one or more                          | items with a training interaction   | who ask for one     |
| `items/few_among_few`   | those with 1…5                                  | items with 1…5                      | who ask for one     |
| `users/new`             | all                                             | the catalogue                       | without a history   |
| `users/few`             | all                                             | the catalogue                       | with 1…5 events     |
| `users/many`            | all                                             | the catalogue                       | with more           |
| `both/cold`             | those without a training interaction            | the catalogue                       | without a history   |

The first three share the lists that are judged as a whole, so that a cold item must win against everything else, as it must in use: an
item of another part is a miss there even where it is relevant. Ranking cold items among themselves asks only which cold item suits whom,
the question of most papers (Volkovs, Yu & Poutanen 2017, DropoutNet), and gives far higher figures; neither can stand for the other. A model
that knows items by code alone never gives a place to a cold one; `items/warm_among_warm` asks whether another is as good among the rest.
"""

from __future__ import annotations

import numpy as np

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST

FEW = 5
"""Interactions of an item or events of a user up to which little is known of them."""
LEAST_ASKING, MOST_USERS = 10, 200_000
"""Users who ask for a cold item from which on, and users in all up to which, parts are told apart unasked."""
AMONG_COLD, AMONG_FEW, AMONG_WARM = "items/cold_among_cold", "items/few_among_few", "items/warm_among_warm"
"""Parts that need lists of their own."""


def among(truth: Histories, train_counts: np.ndarray) -> dict[str, tuple[np.ndarray, Histories, np.ndarray]]:
    """Of each part that is ranked among its own items the rows that take part, ascending, what is relevant to each, and the candidates."""
    degrees, found = _degrees(np.asarray(train_counts), "cold"), {}
    masks = {AMONG_COLD: degrees["cold"], AMONG_FEW: degrees["few"], AMONG_WARM: ~degrees["cold"]}
    for name, mask in masks.items():
        asked = truth.where(mask[truth.items])
        rows, codes = np.flatnonzero(asked.lengths), np.flatnonzero(mask)
        found[name] = (rows, asked.take(rows), codes[codes >= FIRST])
    return found


def told_apart(wanted: bool | None, truth: Histories, train_counts: np.ndarray) -> bool:
    """Whether parts are judged: as wanted, or where neither too few ask for a cold item nor too many ask at all."""
    if wanted is not None:
        return wanted
    asking = truth.where(np.asarray(train_counts)[truth.items] == 0).lengths > 0
    return len(truth) <= MOST_USERS and int(asking.sum()) >= LEAST_ASKING


def parts(truth: Histories, train_counts: np.ndarray, history_lengths: np.ndarray) -> dict[str, tuple[np.ndarray, Histories]]:
    """The parts that are not empty, but for those of `among`, which need other lists.

    Args:
        truth: a row for each user who is asked, none of them empty.
        train_counts: int (num_items,): training interactions of each item code.
        history_lengths: int (users,): how much was known of each user when asked.

    Returns:
        Of each part the rows that take part, ascending, and what is relevant to each.
    """
    of_item, of_user = np.asarray(train_counts)[truth.items], np.asarray(history_lengths)
    everyone, everything = np.ones(len(truth), bool), np.ones(len(truth.items), bool)
    chosen = {f"items/{name}": (everyone, mask) for name, mask in _degrees(of_item, "cold").items()}
    chosen |= {f"users/{name}": (mask, everything) for name, mask in _degrees(of_user, "new").items()}
    chosen["both/cold"] = (of_user == 0, of_item == 0)
    found = {}
    for name, (users, items) in chosen.items():
        asked = truth.where(items)
        rows = np.flatnonzero(users & (asked.lengths > 0))
        if len(rows):
            found[name] = (rows, asked.take(rows))
    return found


def _degrees(counts: np.ndarray, none: str) -> dict[str, np.ndarray]:
    return {none: counts == 0, "few": (counts > 0) & (counts <= FEW), "many": counts > FEW}
