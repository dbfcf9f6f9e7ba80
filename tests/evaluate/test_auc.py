from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate.auc import auc, auc_difference, auc_interval, grouped_auc

seeds = st.integers(0, 10_000)


def rows(seed: int, count: int = 40, levels: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Both classes, and few levels of score, so that ties abound."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    labels[:4] = [0, 1, 0, 1]
    return labels, rng.integers(0, levels, count) - levels / 2


def by_pairs(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The (positives, negatives) matrix of 1, ½ and 0 that all is a mean of."""
    above = scores[labels == 1][:, None] - scores[labels == 0]
    return (above > 0) + (above == 0) / 2


def test_auc_worked_example() -> None:
    # positives .8 and .4 against negatives .4 and .1: above, above, equal, above
    assert auc(np.array([1, 0, 1, 0]), np.array([0.8, 0.4, 0.4, 0.1])) == 3.5 / 4


@given(seeds)
def test_auc_is_the_mean_over_pairs_and_equals_scikit_learn(seed: int) -> None:
    labels, scores = rows(seed)
    assert auc(labels, scores) == pytest.approx(by_pairs(labels, scores).mean(), abs=1e-12)
    weights = np.random.default_rng(seed).random(len(labels))
    assert auc(labels, scores, weights) == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))


@given(seeds)
def test_a_weight_of_two_is_the_row_twice(seed: int) -> None:
    labels, scores = rows(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(labels))
    weights[:2] = 1
    twice = auc(np.repeat(labels, weights), np.repeat(scores, weights))
    assert auc(labels, scores, weights) == pytest.approx(twice, abs=1e-12)


@given(seeds)
def test_only_the_order_of_scores_counts_and_turning_it_turns_auc(seed: int) -> None:
    labels, scores = rows(seed)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    assert auc(labels, np.exp(scores)) == auc(labels, scores) == auc(labels[shuffled], scores[shuffled])
    assert auc(labels, -scores) == pytest.approx(1 - auc(labels, scores))


@given(seeds, st.integers(0, 39))
def test_raising_a_positive_never_hurts(seed: int, row: int) -> None:
    labels, scores = rows(seed)
    raised = scores.copy()
    raised[row] += 1.5
    change = auc(labels, raised) - auc(labels, scores)
    assert change >= -1e-12 if labels[row] else change <= 1e-12


def test_what_has_no_pairs_has_no_auc() -> None:
    for labels in ([], [1, 1], [0, 0]):
        assert np.isnan(auc(np.array(labels), np.zeros(len(labels))))
        assert grouped_auc(np.array(labels), np.zeros(len(labels)), np.zeros(len(labels)))[1:] == (0, 0)
        assert np.isnan(auc_interval(np.array(labels), np.zeros(len(labels)))).all()
        assert np.isnan(auc_difference(np.array(labels), np.zeros(len(labels)), np.zeros(len(labels))).p_value)
    assert np.isnan(auc(np.array([0, 1]), np.zeros(2), np.array([0, 1])))


def test_infinite_scores_tie() -> None:
    assert auc(np.array([1, 0, 1, 0]), np.array([np.inf, np.inf, -np.inf, -np.inf])) == 0.5


@given(seeds)
def test_grouped_auc_is_the_mean_of_groups_with_both_classes_by_rows(seed: int) -> None:
    labels, scores = rows(seed)
    groups = np.random.default_rng(seed + 1).integers(0, 12, len(labels))
    found = [(groups == g) for g in np.unique(groups) if 0 < labels[groups == g].mean() < 1]
    got = grouped_auc(labels, scores, groups)
    assert got.groups == len(found)
    assert got.rows == sum(own.sum() for own in found)
    if found:
        want = sum(own.sum() * by_pairs(labels[own], scores[own]).mean() for own in found) / got.rows
        assert got.value == pytest.approx(want, abs=1e-12)
    assert grouped_auc(labels, scores, np.char.add("user ", groups.astype(str))) == pytest.approx(got, nan_ok=True)


def test_one_group_is_plain_auc_and_a_shift_of_a_group_changes_nothing() -> None:
    labels, scores = rows(3)
    groups = np.random.default_rng(3).integers(0, 5, len(labels))
    assert grouped_auc(labels, scores, np.zeros(len(labels))) == (pytest.approx(auc(labels, scores)), len(labels), 1)
    assert grouped_auc(labels, scores + 10 * groups, groups) == pytest.approx(grouped_auc(labels, scores, groups))


@given(seeds)
def test_intervals_and_tests_are_delongs_by_definition(seed: int) -> None:
    labels, first = rows(seed)
    second = first + np.random.default_rng(seed + 1).integers(-2, 3, len(labels))
    one, two = by_pairs(labels, first), by_pairs(labels, second)
    low, high = auc_interval(labels, first, 0.9)

    def variance(cells: np.ndarray) -> float:
        return sum(np.var(cells.mean(axis=side), ddof=1) / cells.shape[1 - side] for side in (0, 1))

    half = 1.6448536269514722 * np.sqrt(variance(one))
    assert (low, high) == pytest.approx((max(0, one.mean() - half), min(1, one.mean() + half)))
    got = auc_difference(labels, first, second, 0.9)
    assert got.value == pytest.approx(two.mean() - one.mean(), abs=1e-12)
    assert got.interval[1] - got.value == pytest.approx(1.6448536269514722 * np.sqrt(variance(two - one)), abs=1e-9)
    turned = auc_difference(labels, second, first, 0.9)
    assert (turned.value, turned.p_value) == pytest.approx((-got.value, got.p_value))


def test_intervals_cover_and_tests_keep_their_level() -> None:
    rng = np.random.default_rng(0)
    covered, claims, worlds = 0, 0, 600
    true = 0.7602499389065233  # Φ(1 / √2): positives are N(1, 1), negatives N(0, 1)
    for _ in range(worlds):
        labels = np.repeat([0, 1], [90, 60])
        clean = labels + rng.normal(size=150)
        low, high = auc_interval(labels, clean)
        covered += low <= true <= high
        claims += auc_difference(labels, clean + rng.normal(size=150), clean + rng.normal(size=150)).p_value <= 0.05
    assert 0.92 < covered / worlds < 0.975
    assert 0.025 < claims / worlds < 0.08


def test_a_real_difference_is_found_and_the_same_scores_are_none() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 2000)
    good = labels + rng.normal(size=2000)
    assert auc_difference(labels, good, good) == auc_difference(labels, good, 3 * good + 1)
    assert auc_difference(labels, good, good).p_value == 1
    worse = auc_difference(labels, good, good + rng.normal(size=2000))
    assert worse.p_value < 1e-6
    assert worse.interval[1] < 0
    assert auc_difference(np.array([0, 0, 1, 1]), np.array([2, 2, 1, 1]), np.array([1, 1, 2, 2])).p_value == 0


def test_rows_that_cannot_be_judged_are_refused() -> None:
    labels, scores = rows(0)
    with pytest.raises(DataError, match="one label, value and weight for each row"):
        auc(labels, scores[:-1])
    with pytest.raises(DataError, match="one label, value and weight for each row"):
        auc(labels, scores, np.ones(3))
    with pytest.raises(DataError, match=r"labels of 0 or 1; found label 2 in row 5"):
        auc(np.where(np.arange(40) == 5, 2, labels), scores)
    with pytest.raises(DataError, match=r"score nan in row 1.*diverged"):
        auc(labels, np.where(np.arange(40) == 1, np.nan, scores))
    with pytest.raises(DataError, match=r"weight -1 in row 0"):
        auc(labels, scores, -np.ones(40))
    with pytest.raises(DataError, match="one group for each row"):
        grouped_auc(labels, scores, np.zeros(3))
    with pytest.raises(ConfigError, match=r"between 0 and 1; found confidence 95"):
        auc_interval(labels, scores, 95)
