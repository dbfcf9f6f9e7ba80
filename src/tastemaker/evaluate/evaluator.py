"""The evaluator: lists or predicted ratings and the withheld truth go in, a report comes out. It never sees a model.

Who is asked: users with at least one item on the side being judged; each counts once in a mean. Segments:

* `users/new` have no history; the others are cut at the median of their history lengths: `users/light` at or below, `users/heavy`
  above it (`light_history_at_most` in the counts is the cut).
* `items/head` is the 20 % of the trained catalogue with most training interactions (rounded up, ties to the lower code), `items/tail`
  the rest of it, `items/cold` the items without a training interaction. For these, recall@k and hit_rate@k of a user look at the
  relevant items of the segment alone, and the mean is over users who have one; `count` is the number of such targets.

Where items or users are new, each degree of it is a report of its own, with intervals and the values of each user: see `coldness`.

Intervals are bootstrap percentiles (Efron 1979): users are drawn with replacement, and a metric is computed again for each draw.
They say how much the figure depends on which users were asked, not on the seed of training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import scipy.sparse as sp
from pydantic import Field, field_validator

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import DataError
from tastemaker.evaluate import beyond as beyond_accuracy
from tastemaker.evaluate import coldness
from tastemaker.evaluate import metrics as metric
from tastemaker.evaluate.report import Report
from tastemaker.settings import Settings

HEAD_SHARE = 0.2
"""Share of the trained catalogue that is its head."""


class EvaluateConfig(Settings):
    """The `[evaluate]` section."""

    metrics: tuple[str, ...] = tuple(metric.RANKING)
    """Ranking metrics, "ndcg" (at each of `ks`) or "ndcg@5" (there alone), and rating metrics "rmse", "mae"; see `metrics.py`"""
    ks: tuple[int, ...] = (10, 20)
    """Lengths of lists at which metrics are taken; beyond-accuracy figures are taken at each of them"""
    filter_seen: bool = True
    """Leave out of a user's list what is in the history, of the kinds of behaviour that are asked for"""
    new_users: Literal["include", "exclude"] = "include"
    """Whether users without a history are asked"""
    coldness: bool | None = None
    """Whether items and users are also judged apart by how much was known of them; default: where enough users ask for items without
    training interactions, and users are not too many"""
    confidence: float = Field(0.95, gt=0, lt=1)
    """Confidence of intervals"""
    bootstrap: int = Field(1000, ge=0)
    """Number of resamples behind an interval; 0 gives none"""
    seed: int = Field(0, ge=0)
    """Of the resampling"""

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            metric.parse(name)
        if not names:
            raise ValueError("At least one metric")
        return tuple(dict.fromkeys(names))

    @field_validator("ks")
    @classmethod
    def _positive(cls, ks: tuple[int, ...]) -> tuple[int, ...]:
        if not ks or min(ks) < 1:
            raise ValueError("Whole numbers ≥ 1, at least one")
        return tuple(dict.fromkeys(ks))

    @property
    def ranking(self) -> tuple[str, ...]:
        """Ranking metrics with their cuts: "ndcg@10", …; empty where only ratings are judged."""
        named = [(name, *metric.parse(name)) for name in self.metrics]
        ranked = [(name, base, k) for name, base, k in named if base in metric.RANKING]
        spread = [f"{base}@{k}" for k in self.ks for _, base, cut in ranked if cut is None]
        return tuple(dict.fromkeys([*spread, *(name for name, _, cut in ranked if cut is not None)]))

    @property
    def rating(self) -> tuple[str, ...]:
        """Rating metrics: "rmse", "mae", or none."""
        return tuple(name for name in self.metrics if name in metric.RATING)

    @property
    def length(self) -> int:
        """How long lists must be for all of it."""
        return max([*self.ks, *(int(name.partition("@")[2]) for name in self.ranking)])


def evaluate_ranking(
    lists: np.ndarray,
    truth: Histories,
    train_counts: np.ndarray,
    history_lengths: np.ndarray,
    config: EvaluateConfig,
    *,
    users: np.ndarray | None = None,
    histories: Histories | None = None,
    item_vectors: np.ndarray | sp.csr_matrix | None = None,
    among: Histories | None = None,
    among_lists: Mapping[str, np.ndarray] | None = None,
) -> Report:
    """Judges ranked lists against what the users did.

    Args:
        lists: int (users, ≥ config.length) item codes, best first, from the whole catalogue; 0 fills up short lists.
        truth: a row per list: the user's items on the side being judged. Repeats count once; users without any are not asked.
        train_counts: int (num_items,): training interactions of each item code.
        history_lengths: int (users,): how much was known of each user when asked.
        config: metrics, ks, …; `filter_seen` was obeyed by whoever made the lists.
        users: int (users,) codes, for pairing reports later; by default the row numbers.
        histories: a row per list: what was known. Adds popularity lift, makes serendipity skip seen items, counts targets seen before.
        item_vectors: (num_items, dim), content vectors or `beyond.co_occurrence(...)`. Adds diversity.
        among: a row per list: the items it was chosen from where that is not the catalogue. Such lists say nothing of the catalogue, so
            figures beyond accuracy are left out, and they pair with lists chosen from the same items only.
        among_lists: int (users, ≥ config.length) each: lists of the candidates of `coldness.among`, for users who ask for one. Adds
            the parts of their names.

    Raises:
        DataError: shapes do not fit, lists are too short, a list holds an item twice, or nobody can be asked.
    """
    users = np.arange(len(lists)) if users is None else np.asarray(users)
    _check(lists, truth, train_counts, history_lengths, config, users, histories)
    has_targets = truth.lengths > 0
    new = history_lengths == 0
    asked = np.flatnonzero(has_targets & ~new if config.new_users == "exclude" else has_targets)
    if not len(asked):
        raise DataError("no user to ask", expected="a user with a test item", hint="look at the split: `data describe`")
    lists, truth, users, lengths = lists[asked, : config.length], truth.take(asked), users[asked], history_lengths[asked]
    histories = histories.take(asked) if histories is not None else None
    chosen_from = [] if among is None else [among.take(asked).offsets, among.take(asked).items]
    hits, _ = metric.hits_of(lists, truth)
    whole = judged(lists, truth, users, config, chosen_from)
    per_user = whole.per_user
    targets = metric.pairs(truth, len(train_counts)) % len(train_counts)
    counts = {
        "users_asked": len(asked),
        "users_without_targets": int((~has_targets).sum()),
        "users_without_history": int((lengths == 0).sum()),
        "users_excluded_as_new": int((has_targets & new).sum()) if config.new_users == "exclude" else 0,
        "targets": len(targets),
        "cold_targets": int((train_counts[targets] == 0).sum()),
        "items": len(train_counts) - FIRST,
        "cold_items": int((train_counts[FIRST:] == 0).sum()),
        "short_lists": int((lists == 0).any(axis=1).sum()),
    }
    if histories is not None:
        seen = metric.pairs(histories, len(train_counts))
        wanted = metric.pairs(truth, len(train_counts))
        counts["targets_seen_before"] = len(np.intersect1d(seen, wanted, assume_unique=True))
    by_user, cut = _user_segments(per_user, lengths)
    counts["light_history_at_most"] = cut
    by_item = _item_segments(lists, hits, truth, train_counts, config)
    return replace(
        whole,
        segments=by_user | by_item,
        beyond=_beyond(lists, hits, train_counts, config, histories, item_vectors) if among is None else {},
        counts=counts,
        parts=_parts(
            lists,
            truth,
            users,
            lengths,
            train_counts,
            config,
            chosen_from,
            {name: ordered[asked] for name, ordered in (among_lists or {}).items()},
        ),
    )


def judged(
    lists: np.ndarray, truth: Histories, users: np.ndarray, config: EvaluateConfig, chosen_from: Sequence[np.ndarray] = ()
) -> Report:
    """Metrics of lists, with intervals and the values of each user, and nothing else: of `evaluate_ranking`, whose users all ask for something."""
    hits, relevant = metric.hits_of(lists, truth)
    per_user = metric.per_user(config.ranking, hits, relevant)
    means, intervals = _means(per_user, config)
    return Report(
        metrics=means,
        intervals=intervals,
        per_user=per_user,
        users=users,
        counts={"users_asked": len(users), "targets": int(relevant.sum())},
        confidence=config.confidence,
        judged_on=_fingerprint(users, truth.offsets, truth.items, *chosen_from),
    )


def _parts(
    lists: np.ndarray,
    truth: Histories,
    users: np.ndarray,
    lengths: np.ndarray,
    train_counts: np.ndarray,
    config: EvaluateConfig,
    chosen_from: Sequence[np.ndarray],
    among_lists: Mapping[str, np.ndarray],
) -> dict[str, Report]:
    """The reports of `coldness`, of the degrees that somebody asks for."""
    if not coldness.told_apart(config.coldness, truth, train_counts):
        return {}
    found = coldness.parts(truth, train_counts, lengths)
    parts = {name: judged(lists[rows], asked, users[rows], config, chosen_from) for name, (rows, asked) in found.items()}
    for name, (rows, asked, codes) in coldness.among(truth, train_counts).items():
        if name in among_lists and len(rows):
            parts[name] = judged(among_lists[name][rows, : config.length], asked, users[rows], config, [codes])
    return parts


def evaluate_ratings(
    predicted: np.ndarray,
    actual: np.ndarray,
    users: np.ndarray,
    config: EvaluateConfig,
    *,
    history_lengths: np.ndarray | None = None,
) -> Report:
    """Judges predicted ratings, row by row; rmse and mae are pooled over rows, intervals resample users.

    `per_user` holds each user's own rmse and mae. With `history_lengths`, int (rows,), the same for all rows of a user, segments of
    users are added (also pooled over their rows).

    Args:
        predicted: float (rows,).
        actual: float (rows,).
        users: int (rows,) user codes.
        config: `rating` metrics (all where it names none), confidence, bootstrap, seed, new_users.
        history_lengths: int (rows,), needed where new users are to be excluded.

    Raises:
        DataError: shapes do not fit, there are no rows, or numbers are not finite.
    """
    users = np.asarray(users)
    shapes = {len(predicted), len(actual), len(users)} | ({len(history_lengths)} if history_lengths is not None else set())
    if len(shapes) != 1:
        raise DataError(f"columns of lengths {sorted(shapes)}", expected="a prediction, a value and a user for each row")
    new = np.zeros(len(users), bool) if history_lengths is None else history_lengths == 0
    excluded = new if config.new_users == "exclude" else np.zeros(len(users), bool)
    predicted, actual, users = np.asarray(predicted)[~excluded], np.asarray(actual)[~excluded], users[~excluded]
    if not len(actual):
        raise DataError("no rating to judge", expected="at least one test row", hint="look at the split: `data describe`")
    names = config.rating or tuple(metric.RATING)
    distinct, sums = metric.per_user_errors(predicted, actual, users)

    def pooled(squared: np.ndarray, absolute: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
        both = {"rmse": np.sqrt(squared / rows), "mae": absolute / rows}
        return {name: both[name] for name in names}

    per_user = pooled(**sums)
    means = {name: metric.RATING[name](predicted, actual) for name in names}
    drawn = _resampled_sums(np.stack([sums[name] for name in ("squared", "absolute", "rows")], axis=1), config)
    intervals = {name: _interval(values, config) for name, values in pooled(*drawn.T).items()} if len(drawn) else {}
    counts = {"users_asked": len(distinct), "rows": len(actual)}
    segments: dict[str, dict[str, float]] = {}
    if history_lengths is not None:
        lengths = np.asarray(history_lengths)[~excluded]
        of_user = lengths[np.unique(users, return_index=True)[1]]
        counts["users_without_history"] = int((of_user == 0).sum())
        masks, counts["light_history_at_most"] = _by_history(lengths, of_user)
        for name, mask in masks.items():
            found = {base: metric.RATING[base](predicted[mask], actual[mask]) for base in names} if mask.any() else {}
            segments[name] = {"count": len(np.unique(users[mask])), **found}
    return Report(
        means, intervals, per_user, distinct, segments, {}, counts, config.confidence, _fingerprint(users, np.asarray(actual))
    )


def _means(per_user: dict[str, np.ndarray], config: EvaluateConfig) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    if not per_user:
        return {}, {}
    values = np.stack(list(per_user.values()), axis=1)
    means = dict(zip(per_user, values.mean(axis=0).tolist(), strict=True))
    drawn = _resampled_sums(values, config) / len(values)
    return means, {name: _interval(drawn[:, i], config) for i, name in enumerate(per_user)} if len(drawn) else {}


def _resampled_sums(values: np.ndarray, config: EvaluateConfig) -> np.ndarray:
    """Column sums of `values`, (users, columns), over users drawn with replacement: (bootstrap, columns)."""
    rng, users = np.random.default_rng(config.seed), len(values)
    sums = np.empty((config.bootstrap, values.shape[1]))
    at_once = max(1, 4_000_000 // users)
    weights = np.empty((at_once, users))
    for start in range(0, config.bootstrap, at_once):
        draws = min(at_once, config.bootstrap - start)
        for row in range(draws):  # how often each user was drawn
            weights[row] = np.bincount(rng.integers(0, users, users, dtype=np.int32), minlength=users)
        sums[start : start + draws] = weights[:draws] @ values
    return sums


def _interval(draws: np.ndarray, config: EvaluateConfig) -> tuple[float, float]:
    tail = (1 - config.confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _by_history(lengths: np.ndarray, of_users: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """Masks of new, light and heavy over `lengths`, cut at the median length of users with a history, and the cut."""
    known = of_users[of_users > 0]
    cut = int(np.median(known)) if len(known) else 0
    new = lengths == 0
    return {"users/new": new, "users/light": ~new & (lengths <= cut), "users/heavy": ~new & (lengths > cut)}, cut


def _user_segments(per_user: dict[str, np.ndarray], lengths: np.ndarray) -> tuple[dict[str, dict[str, float]], int]:
    masks, cut = _by_history(lengths, lengths)
    segments = {}
    for name, mask in masks.items():
        means = {metric_name: float(values[mask].mean()) for metric_name, values in per_user.items()} if mask.any() else {}
        segments[name] = {"count": int(mask.sum()), **means}
    return segments, cut


def _item_segments(
    lists: np.ndarray, hits: np.ndarray, truth: Histories, train_counts: np.ndarray, config: EvaluateConfig
) -> dict[str, dict[str, float]]:
    counts = train_counts.astype(np.int64)
    counts[:FIRST] = 0
    trained = int((counts > 0).sum())
    head = np.zeros(len(counts), bool)
    head[np.argsort(-counts, kind="stable")[: int(np.ceil(HEAD_SHARE * trained))]] = True
    names = [name for k in config.ks for name in (f"recall@{k}", f"hit_rate@{k}")]
    distinct = metric.pairs(truth, len(counts))
    rows, items = distinct // len(counts), distinct % len(counts)
    segments = {}
    for name, members in {"head": head, "tail": (counts > 0) & ~head, "cold": counts == 0}.items():
        relevant = np.bincount(rows[members[items]], minlength=len(lists))
        per_user = metric.per_user(names, hits & members[lists], relevant)
        means = {key: float(np.nanmean(values)) for key, values in per_user.items()} if relevant.any() else {}
        segments[f"items/{name}"] = {"count": int(relevant.sum()), **means}
    return segments


def _beyond(
    lists: np.ndarray,
    hits: np.ndarray,
    train_counts: np.ndarray,
    config: EvaluateConfig,
    histories: Histories | None,
    item_vectors: np.ndarray | sp.csr_matrix | None,
) -> dict[str, float]:
    found = {}
    for k in config.ks:
        top = lists[:, :k]
        values = {
            "coverage": beyond_accuracy.coverage(top, len(train_counts)),
            "gini": beyond_accuracy.gini(top, len(train_counts)),
            "novelty": beyond_accuracy.novelty(top, train_counts),
            "serendipity": beyond_accuracy.serendipity(top, hits[:, :k], train_counts, histories),
            "average_popularity": beyond_accuracy.average_popularity(top, train_counts),
            "cold_share": beyond_accuracy.cold_share(top, train_counts),
        }
        if histories is not None:
            values["popularity_lift"] = beyond_accuracy.popularity_lift(top, train_counts, histories)
        if item_vectors is not None:
            values["diversity"] = beyond_accuracy.diversity(top, item_vectors)
        found.update({f"{name}@{k}": value for name, value in values.items() if not np.isnan(value)})
    return found


def _check(
    lists: np.ndarray,
    truth: Histories,
    train_counts: np.ndarray,
    history_lengths: np.ndarray,
    config: EvaluateConfig,
    users: np.ndarray,
    histories: Histories | None,
) -> None:
    if lists.ndim != 2 or lists.shape[1] < config.length:
        raise DataError(f"lists of shape {lists.shape}", expected=f"(users, k) with k ≥ {config.length}, as metrics and ks ask")
    rows = {len(lists), len(truth), len(history_lengths), len(users)} | ({len(histories)} if histories is not None else set())
    if len(rows) != 1:
        raise DataError(f"inputs with {sorted(rows)} rows", expected="lists, truth and histories with a row for each user")
    for name, codes in (("a list", lists), ("the truth", truth.items)):
        if codes.size and not (codes.min() >= 0 and codes.max() < len(train_counts)):
            raise DataError(
                f"item code {int(codes.max())} in {name}", expected=f"codes of 0…{len(train_counts) - 1} (num_items)"
            )


def _fingerprint(*columns: np.ndarray) -> str:
    digest = hashlib.sha256()
    for column in columns:
        digest.update(np.ascontiguousarray(column).astype(np.float64 if column.dtype.kind == "f" else np.int64).tobytes())
    return digest.hexdigest()
