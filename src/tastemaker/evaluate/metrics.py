"""Metrics: how good is a list? Each is one function that gives one value per user; the report is their mean.

A ranking metric sees two things and nothing else: `hits`, bool (users, k), whether the item at each place of a user's list is
relevant, best place first; and `relevant`, int (users,), how many distinct items were relevant (R below; they are what the user did
on the side being judged, withheld from the model). It never sees scores, so ties were broken before: to the lower item code, which
is unrelated to relevance, so that a constant scorer gains nothing. Lists rank the whole catalogue, never a sample of it (Krichene &
Rendle 2020, On Sampled Metrics for Item Recommendation). A list that is shorter than k misses at the places it does not have.

| name        | value for one user                                          | denominator       | 1 when                          |
|-------------|-------------------------------------------------------------|-------------------|---------------------------------|
| `hit_rate`  | 1 if any of k places hits, else 0                           | none              | one hit                         |
| `recall`    | hits / R                                                    | R, not truncated  | all R items listed (needs R ≤ k)|
| `precision` | hits / k                                                    | k, not the list's length | all places hit           |
| `ndcg`      | Σ hit_i / log2(i + 1)  /  Σ_{i ≤ min(R, k)} 1 / log2(i + 1) | the ideal list's sum, binary gains | the first min(R, k) places hit |
| `map`       | Σ hit_i · precision@i  /  min(R, k)                         | min(R, k)         | the first min(R, k) places hit  |
| `mrr`       | 1 / place of the first hit, 0 without one                   | none              | the first place hits            |

Places i count from 1. All lie in 0…1, higher is better; a user without relevant items has no value (NaN) and is left out of means.
With one relevant item per user (leave-one-out) recall equals hit_rate, and map equals mrr.

Sources: NDCG, Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques, with the log2(i + 1) discount of Burges
et al. 2005; MAP and MRR, Voorhees & Harman, TREC. Libraries differ in two of them: trec_eval's `map_cut` divides by R where we
divide by min(R, k), so that a perfect list of k scores 1; some libraries truncate recall's denominator to min(R, k), we do not.

Rating metrics compare a predicted value with the given one, row by row, lower is better, in units of the rating:

| name   | value                                   | pooled over                                              |
|--------|-----------------------------------------|----------------------------------------------------------|
| `rmse` | square root of the mean squared error   | rows (a user with more ratings weighs more), not users   |
| `mae`  | mean absolute error                     | rows                                                     |
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

import numpy as np

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import PAD
from tastemaker.errors import ConfigError, DataError

Metric = Callable[[np.ndarray, np.ndarray], np.ndarray]


def hit_rate(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """1 where any of the k places hits: float64 (users,)."""
    return _where_asked(np.any(hits, axis=1).astype(np.float64), relevant)


def recall(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Share of the relevant items that are listed: hits / R."""
    return hits.sum(axis=1) / _asked(relevant)


def precision(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Share of the k places that hit: hits / k."""
    return _where_asked(hits.sum(axis=1) / hits.shape[1], relevant)


def ndcg(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Discounted gain over that of the ideal list, which starts with min(R, k) hits; binary gains."""
    discount = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.concatenate([[np.nan], np.cumsum(discount)])
    return (hits @ discount) / ideal[np.minimum(relevant, hits.shape[1])]


def map(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Average precision: the mean of precision@i over places i that hit, divided by min(R, k)."""
    k = hits.shape[1]
    precision_at = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return (precision_at * hits).sum(axis=1) / np.minimum(_asked(relevant), k)


def mrr(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Reciprocal of the place of the first hit, 0 without one."""
    first = hits.argmax(axis=1)
    return _where_asked(np.where(hits.any(axis=1), 1 / (first + 1.0), 0.0), relevant)


RANKING: dict[str, Metric] = {f.__name__: f for f in (hit_rate, recall, precision, ndcg, map, mrr)}
"""Every ranking metric by name. To add one, write the function and name it here."""


def rmse(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Root mean squared error over rows, in units of the rating; NaN without rows."""
    return float(np.sqrt(np.mean(np.square(_errors(predicted, actual))))) if len(actual) else np.nan


def mae(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Mean absolute error over rows, in units of the rating; NaN without rows."""
    return float(np.mean(np.abs(_errors(predicted, actual)))) if len(actual) else np.nan


RATING: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"rmse": rmse, "mae": mae}
"""Every rating metric by name."""


def lower_is_better(name: str) -> bool:
    """True for errors, False for ranking metrics; `name` with or without "@k"."""
    return name.partition("@")[0] in RATING


def parse(name: str) -> tuple[str, int | None]:
    """Splits "ndcg@10" into ("ndcg", 10) and "ndcg" into ("ndcg", None).

    Raises:
        ConfigError: there is no such metric, or k is not a whole number ≥ 1; names the nearest metric.
    """
    base, at, cut = name.partition("@")
    known = [*RANKING, *RATING]
    if base not in known:
        near = difflib.get_close_matches(base, known, n=1) or ([n for n in known if n[:1] == base[:1]] or [known[0]])
        raise ConfigError(f"metric {name!r}", expected=f"one of {', '.join(known)}", hint=f"did you mean {near[0]!r}?")
    if not at:
        return base, None
    if base in RATING:
        raise ConfigError(f"metric {name!r}", expected=f"{base!r} without a cut", hint="ratings are not ranked")
    if not cut.isdecimal() or int(cut) < 1:
        raise ConfigError(f"metric {name!r}", expected="a whole number ≥ 1 after @", hint=f"for example {base}@10")
    return base, int(cut)


def hits_of(lists: np.ndarray, truth: Histories) -> tuple[np.ndarray, np.ndarray]:
    """Marks the relevant items of each list: `(hits bool (users, k), relevant int64 (users,))`.

    Args:
        lists: int (users, k) item codes, best first; 0 (PAD) fills up lists that are short and never hits.
        truth: a row per list: the items that are relevant. Repeats count once.

    Raises:
        DataError: numbers of rows differ, a list holds an item twice, or the truth holds PAD.
    """
    if lists.ndim != 2 or len(lists) != len(truth):
        raise DataError(f"lists of shape {lists.shape} for {len(truth)} users", expected="a list for each user")
    ranked = np.sort(lists, axis=1)
    repeated = (ranked[:, 1:] == ranked[:, :-1]) & (ranked[:, 1:] != PAD)
    if repeated.any():
        row = int(repeated.any(axis=1).argmax())
        raise DataError(
            f"the list of row {row} holds an item twice: {lists[row].tolist()}", expected="distinct items in a list"
        )
    if len(truth.items) and truth.items.min() <= PAD:
        raise DataError(f"item code {int(truth.items.min())} in the truth", expected="codes of items", hint="PAD is no item")
    # sorted pairs of the truth are searched for all pairs of the lists at once
    width = int(max(lists.max(initial=0), truth.items.max(initial=0))) + 1
    wanted = pairs(truth, width)
    relevant = np.bincount(wanted // width, minlength=len(lists))
    if not len(wanted):
        return np.zeros(lists.shape, bool), relevant
    asked = np.arange(len(lists))[:, None] * width + lists
    place = np.minimum(np.searchsorted(wanted, asked), len(wanted) - 1)
    return (wanted[place] == asked) & (lists != PAD), relevant


def pairs(histories: Histories, width: int) -> np.ndarray:
    """The distinct (row, item) pairs as ascending int64 numbers row * width + item; `width` is above every item code."""
    return distinct(np.repeat(np.arange(len(histories)) * width, histories.lengths) + histories.items)


def distinct(numbers: np.ndarray) -> np.ndarray:
    """The distinct numbers, ascending. Sorting is many times faster here than the hashing of `np.unique`."""
    numbers = np.sort(numbers)
    return numbers[np.concatenate([[True], numbers[1:] != numbers[:-1]])] if len(numbers) else numbers


def per_user(names: Iterable[str], hits: np.ndarray, relevant: np.ndarray) -> dict[str, np.ndarray]:
    """Values of ranking metrics such as "ndcg@10": name -> float64 (users,), NaN for a user without relevant items.

    Raises:
        ConfigError: an unknown name, a name without a cut, or a cut beyond the length of the lists.
    """
    values = {}
    for name in names:
        base, k = parse(name)
        if k is None or k > hits.shape[1]:
            raise ConfigError(f"metric {name!r} on lists of {hits.shape[1]}", expected=f"a cut of 1…{hits.shape[1]}")
        values[name] = RANKING[base](hits[:, :k], relevant)
    return values


def per_user_errors(predicted: np.ndarray, actual: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Each user's own errors: the distinct users, ascending, and "squared", "absolute" (sums) and "rows" (counts) for each."""
    errors = _errors(predicted, actual)
    owners, place = np.unique(users, return_inverse=True)
    sums = {"squared": np.bincount(place, np.square(errors)), "absolute": np.bincount(place, np.abs(errors))}
    return owners, {**sums, "rows": np.bincount(place).astype(np.float64)}


def _asked(relevant: np.ndarray) -> np.ndarray:
    return np.where(relevant > 0, relevant, np.nan)


def _where_asked(values: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    return np.where(relevant > 0, values, np.nan)


def _errors(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    predicted, actual = np.asarray(predicted, dtype=np.float64), np.asarray(actual, dtype=np.float64)
    if predicted.shape != actual.shape or predicted.ndim != 1:
        raise DataError(f"{predicted.shape} predictions for {actual.shape} values", expected="a prediction for each value")
    if not (np.isfinite(predicted).all() and np.isfinite(actual).all()):
        raise DataError(
            "NaN or infinite values among predictions or ratings", expected="numbers", hint="has the model diverged?"
        )
    return predicted - actual
