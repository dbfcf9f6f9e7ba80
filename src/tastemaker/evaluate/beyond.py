"""Beyond accuracy: what lists do to the catalogue, to users' horizons and to new items.

Each function looks at `lists`, int (users, k) item codes with 0 (PAD) for places that a list does not have, and gives one number.
Popularity is always that of training: `train_counts`, int (num_items,), interactions of each item code. A *cold* item has none.
Codes PAD and UNKNOWN are no part of the catalogue. "Mean over users" leaves out users with an empty list.

| name                 | value                                                            | range            | source |
|----------------------|------------------------------------------------------------------|------------------|--------|
| `coverage`           | share of the catalogue that is in at least one list              | 0…1              | Ge, Delgado-Battenfeld & Jannach 2010 |
| `gini`               | inequality of exposure (places in lists) over all of the catalogue | 0 all equal … 1 - 1/items, one item takes all | Fleder & Hosanagar 2009 |
| `novelty`            | mean of -log2 of the item's share of all training interactions, in bits; a cold item counts as seen once | 0… | Zhou et al. 2010; Vargas & Castells 2011 |
| `diversity`          | 1 - mean cosine over the pairs of a list, mean over users        | 0…1 for co-occurrence, 0…2 for other vectors | Ziegler et al. 2005; Smyth & McClave 2001 |
| `serendipity`        | relevant items that popularity would not have listed, / k        | 0…precision      | Ge et al. 2010, who divide by the number of such places: a list could then gain by having one |
| `average_popularity` | training interactions of a listed item, mean over users          | 0…               | Yin et al. 2012 |
| `popularity_lift`    | average popularity of lists relative to that of histories, - 1   | -1…, 0 as the users choose, 1 twice as popular | Abdollahpouri et al. 2020 |
| `cold_share`         | share of listed places that hold cold items                      | 0…1              | |

More is not always better: novelty without accuracy is noise. Read them beside the accuracy of the same lists.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.vocabulary import FIRST, PAD
from tastemaker.evaluate.metrics import distinct


def coverage(lists: np.ndarray, num_items: int) -> float:
    """Share of the catalogue's items that are in at least one list."""
    return float((_exposure(lists, num_items) > 0).mean())


def gini(lists: np.ndarray, num_items: int) -> float:
    """Gini coefficient of how often each item of the catalogue is listed; NaN where all lists are empty."""
    exposure = np.sort(_exposure(lists, num_items))
    n, total = len(exposure), exposure.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ exposure / (n * total)) if total else np.nan


def novelty(lists: np.ndarray, train_counts: np.ndarray) -> float:
    """Mean self-information of the listed items, in bits."""
    seen = np.maximum(train_counts, 1)
    return _mean_over_users(lists, -np.log2(seen / max(int(train_counts[FIRST:].sum()), 1)))


def average_popularity(lists: np.ndarray, train_counts: np.ndarray) -> float:
    """Training interactions of a listed item."""
    return _mean_over_users(lists, train_counts.astype(np.float64))


def popularity_lift(lists: np.ndarray, train_counts: np.ndarray, histories: Histories) -> float:
    """Average popularity of the lists relative to that of the users' histories, - 1; over users who have both."""
    counts = train_counts.astype(np.float64)
    both = (histories.lengths > 0) & (lists != PAD).any(axis=1)
    if not both.any():
        return np.nan
    rows = np.repeat(np.arange(len(histories)), histories.lengths)
    sums = np.bincount(rows, counts[histories.items], minlength=len(histories))
    chosen = (sums[both] / histories.lengths[both]).mean()
    return float(_mean_over_users(lists[both], counts) / chosen - 1) if chosen else np.nan


def cold_share(lists: np.ndarray, train_counts: np.ndarray) -> float:
    """Share of the listed places that hold items without training interactions."""
    listed = lists[lists != PAD]
    return float((train_counts[listed] == 0).mean()) if len(listed) else np.nan


def serendipity(lists: np.ndarray, hits: np.ndarray, train_counts: np.ndarray, histories: Histories | None = None) -> float:
    """Hits that are not among the k most popular items, / k, mean over users.

    With `histories` popularity skips what the user has seen, as a list filtered for seen items does.
    """
    return float((hits & ~_in_popularity(lists, train_counts, histories)).mean()) if len(lists) else np.nan


def diversity(lists: np.ndarray, item_vectors: np.ndarray | sp.csr_matrix) -> float:
    """1 - mean cosine over the pairs of a list, mean over users with at least two items.

    `item_vectors` is (num_items, dim), dense or sparse: content vectors, or `co_occurrence(...)`. The cosine with a vector of zeros
    is 0. The sum over pairs is that of one squared norm a list, so the cost is users × k × dim.
    """
    norms = np.sqrt(np.asarray(sp.csr_matrix(item_vectors).multiply(item_vectors).sum(axis=1)).ravel())
    scale = np.divide(1.0, norms, out=np.zeros_like(norms, dtype=np.float64), where=norms > 0)
    counted = lists != PAD
    values = []
    for start in range(0, len(lists), 4096):
        codes, here = lists[start : start + 4096], counted[start : start + 4096]
        offsets = np.concatenate([[0], np.cumsum(here.sum(axis=1))])
        listed = codes[here]
        chooser = sp.csr_matrix((scale[listed], listed, offsets), shape=(len(codes), len(norms)))
        total = chooser @ item_vectors
        total = total.toarray() if sp.issparse(total) else total
        own = np.bincount(np.repeat(np.arange(len(codes)), np.diff(offsets)), norms[listed] > 0, minlength=len(codes))
        length = np.diff(offsets)
        kept = length > 1
        cosine = (np.square(total).sum(axis=1)[kept] - own[kept]) / (length[kept] * (length[kept] - 1))
        values.append(1 - cosine)
    together = np.concatenate(values) if values else np.zeros(0)
    return float(together.mean()) if len(together) else np.nan


def co_occurrence(train: Interactions, num_items: int, rng: np.random.Generator, dim: int = 512) -> sp.csr_matrix:
    """Item vectors whose cosine is that of who took the items: float32 (num_items, dim) for `diversity`.

    The cosine of two items is (users of both) / sqrt(users of one × users of the other). An item's column of users is folded to `dim`
    numbers by adding each user with a random sign at a random place (count sketch, Charikar, Chen & Farach-Colton 2002), which keeps
    dot products without bias and cosines up to an error of about 1/sqrt(dim). Equal `rng` state gives equal vectors, so that runs that
    are compared share the error.
    """
    users = distinct(train.user)
    cells = distinct(np.searchsorted(users, train.user).astype(np.int64) * num_items + train.item)
    place, sign = rng.integers(0, dim, len(users)), rng.choice(np.array([-1, 1], np.float32), len(users))
    user, item = cells // num_items, cells % num_items
    vectors = sp.csr_matrix((sign[user], (item, place[user])), shape=(num_items, dim), dtype=np.float32)
    vectors.eliminate_zeros()
    return vectors


def _exposure(lists: np.ndarray, num_items: int) -> np.ndarray:
    return np.bincount(lists.ravel(), minlength=num_items)[FIRST:]


def _mean_over_users(lists: np.ndarray, value_of_item: np.ndarray) -> float:
    listed = lists != PAD
    lengths = listed.sum(axis=1)
    sums = np.where(listed, value_of_item[lists], 0.0).sum(axis=1)
    kept = lengths > 0
    return float((sums[kept] / lengths[kept]).mean()) if kept.any() else np.nan


def _in_popularity(lists: np.ndarray, train_counts: np.ndarray, histories: Histories | None) -> np.ndarray:
    """Which listed items popularity would list too: bool (users, k); ties to the lower code."""
    k, size = lists.shape[1], len(train_counts)
    counts = train_counts.astype(np.int64)
    counts[:FIRST] = -1
    rank = np.empty(size, np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(size)
    place = rank[lists]
    if histories is None:
        return place < k
    # a user's popularity list skips the history: an item moves up by the number of seen items before it
    rows = np.arange(len(lists)) * size
    seen = distinct(np.repeat(rows, histories.lengths) + rank[histories.items])
    before = np.searchsorted(seen, rows[:, None] + place) - np.searchsorted(seen, rows)[:, None]
    return place - before < k
