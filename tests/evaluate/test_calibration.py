from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve

from tastemaker.errors import ConfigError
from tastemaker.evaluate.calibration import calibration_error, reliability, wilson

seeds = st.integers(0, 10_000)


def world(seed: int, count: int = 300, levels: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.beta(1, 3, count)
    if levels:
        probabilities = np.round(probabilities * levels) / levels
    return (rng.random(count) < probabilities).astype(int), probabilities


def test_calibration_error_worked_example() -> None:
    # two bins: .1 .2 with no positive, .15 off; .6 .8 with two, .3 off
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.8])
    assert calibration_error(labels, probabilities, 2) == pytest.approx((0.15 + 0.3) / 2)
    assert calibration_error(labels, probabilities, 1) == pytest.approx(abs(1.7 - 2) / 4)
    curve = reliability(labels, probabilities, 2)
    assert [(round(line.predicted, 9), line.share, line.rows) for line in curve] == [(0.15, 0, 2), (0.7, 1, 2)]


@pytest.mark.parametrize(("binning", "strategy"), [("mass", "quantile"), ("width", "uniform")])
def test_the_curve_is_that_of_scikit_learn_where_nothing_ties(binning: str, strategy: str) -> None:
    labels, probabilities = world(0, 1000)
    curve = reliability(labels, probabilities, 10, binning=binning)
    share, predicted = calibration_curve(labels, probabilities, n_bins=10, strategy=strategy)
    np.testing.assert_allclose([line.share for line in curve], share)
    np.testing.assert_allclose([line.predicted for line in curve], predicted)


@given(seeds, st.integers(1, 30), st.sampled_from([None, 4, 40]), st.sampled_from(["mass", "width"]))
def test_the_curve_holds_every_row_once_and_gives_the_error(seed: int, bins: int, levels: int | None, binning: str) -> None:
    labels, probabilities = world(seed, levels=levels)
    curve = reliability(labels, probabilities, bins, binning=binning)
    assert len(curve) <= bins
    assert sum(line.rows for line in curve) == len(labels)
    assert sum(line.rows * line.share for line in curve) == pytest.approx(labels.sum())
    assert all(before.predicted < after.predicted for before, after in pairwise(curve))
    assert all(0 <= line.low <= line.share <= line.high <= 1 for line in curve)
    error = sum(line.rows * abs(line.share - line.predicted) for line in curve) / len(labels)
    assert calibration_error(labels, probabilities, bins, binning=binning) == pytest.approx(error)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    again = calibration_error(labels[shuffled], probabilities[shuffled], bins, binning=binning)
    assert again == pytest.approx(error)


@given(seeds)
def test_bins_of_equal_mass_differ_by_a_row_where_nothing_ties(seed: int) -> None:
    labels, probabilities = world(seed)
    sizes = [line.rows for line in reliability(labels, probabilities, 7)]
    assert len(sizes) == 7
    assert max(sizes) - min(sizes) <= 1


@given(seeds)
def test_a_weight_of_two_is_the_row_twice(seed: int) -> None:
    labels, probabilities = world(seed, 60, levels=20)
    weights = np.random.default_rng(seed).integers(0, 4, len(labels))
    weights[0] = 1
    twice = calibration_error(np.repeat(labels, weights), np.repeat(probabilities, weights), 5)
    assert calibration_error(labels, probabilities, 5, weights) == pytest.approx(twice)


def test_true_probabilities_score_what_chance_gives_and_overconfident_ones_more() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        labels = rng.random(3000) < 0.3
        probabilities = 0.3 + rng.uniform(-1e-6, 1e-6, 3000)
        found.append(calibration_error(labels, probabilities))
    assert np.mean(found) == pytest.approx(np.sqrt(2 * 0.3 * 0.7 * 15 / (np.pi * 3000)), rel=0.05)
    labels, probabilities = world(1, 20_000)
    sharp = probabilities**2 / (probabilities**2 + (1 - probabilities) ** 2)
    assert calibration_error(labels, sharp) > 5 * calibration_error(labels, probabilities)


@given(st.integers(1, 60), st.data())
def test_wilson_equals_scipy(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    low, high = wilson(np.array([hits]), np.array([trials]), 0.9)
    want = stats.binomtest(hits, trials).proportion_ci(0.9, method="wilson")
    assert (low[0], high[0]) == pytest.approx((want.low, want.high), abs=1e-12)


def test_no_rows_have_no_bins_and_settings_without_sense_are_refused() -> None:
    none = np.zeros(0)
    assert np.isnan(calibration_error(none, none))
    assert reliability(none, none) == ()
    labels, probabilities = world(0)
    with pytest.raises(ConfigError, match="at least 1; found 0 bins"):
        calibration_error(labels, probabilities, 0)
    with pytest.raises(ConfigError, match="'mass' or 'width'"):
        reliability(labels, probabilities, binning="quantile")
    with pytest.raises(ConfigError, match="confidence 2"):
        reliability(labels, probabilities, confidence=2)
