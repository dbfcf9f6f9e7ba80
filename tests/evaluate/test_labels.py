from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats
from sklearn import metrics as sk

from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate import labels as judge
from tastemaker.evaluate.labels import CLIP, LabelReport, best_threshold, judge_labels

seeds = st.integers(0, 10_000)
AT = {"accuracy": judge.accuracy_at, "precision": judge.precision_at, "recall": judge.recall_at, "f1": judge.f1_at}


def world(seed: int, count: int = 200, levels: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn by probabilities of few levels; both labels occur."""
    rng = np.random.default_rng(seed)
    probabilities = np.round(rng.beta(1, 2, count) * levels) / levels
    labels = (rng.random(count) < probabilities).astype(int)
    labels[:4] = [0, 1, 0, 1]
    return labels, probabilities


@given(seeds)
def test_values_equal_scikit_learn(seed: int) -> None:
    labels, probabilities = world(seed)
    weights = np.random.default_rng(seed).random(len(labels))
    inside = np.clip(probabilities, CLIP, 1 - CLIP)
    assert judge.log_loss(labels, probabilities) == pytest.approx(sk.log_loss(labels, inside))
    assert judge.log_loss(labels, probabilities, weights) == pytest.approx(sk.log_loss(labels, inside, sample_weight=weights))
    assert judge.brier(labels, probabilities) == pytest.approx(sk.brier_score_loss(labels, probabilities))
    called = probabilities >= 0.4
    assert judge.accuracy_at(labels, probabilities, 0.4) == pytest.approx(sk.accuracy_score(labels, called))
    assert judge.precision_at(labels, probabilities, 0.4) == pytest.approx(sk.precision_score(labels, called))
    assert judge.recall_at(labels, probabilities, 0.4) == pytest.approx(sk.recall_score(labels, called))
    assert judge.f1_at(labels, probabilities, 0.4) == pytest.approx(sk.f1_score(labels, called))


def test_a_sure_mistake_costs_as_much_as_the_clip_says_on_either_side() -> None:
    sure = np.array([1.0], np.float32)
    assert judge.log_loss(np.array([0]), sure) == pytest.approx(16.118, abs=1e-3)
    assert judge.log_loss(np.array([1]), 1 - sure) == pytest.approx(16.118, abs=1e-3)
    assert judge.log_loss(np.array([1]), sure) == pytest.approx(CLIP, rel=1e-3)


@given(seeds)
def test_a_weight_of_two_is_the_row_twice(seed: int) -> None:
    labels, probabilities = world(seed)
    weights = np.random.default_rng(seed).integers(0, 4, len(labels))
    twice = judge.log_loss(np.repeat(labels, weights), np.repeat(probabilities, weights))
    assert judge.log_loss(labels, probabilities, weights) == pytest.approx(twice)


@given(seeds, st.integers(0, 199), st.floats(0, 1))
def test_moving_a_probability_towards_its_label_never_hurts(seed: int, row: int, step: float) -> None:
    labels, probabilities = world(seed)
    moved = probabilities.copy()
    moved[row] += step * (labels[row] - moved[row])
    assert judge.log_loss(labels, moved) <= judge.log_loss(labels, probabilities) + 1e-12
    assert judge.brier(labels, moved) <= judge.brier(labels, probabilities) + 1e-12


@given(seeds, st.sampled_from(["accuracy", "f1"]), st.sampled_from([1, 2, 20]))
def test_no_threshold_beats_the_best(seed: int, metric: str, levels: int) -> None:
    labels, probabilities = world(seed, 30, levels)
    best = best_threshold(labels, probabilities, metric)
    values = [AT[metric](labels, probabilities, at) for at in [*np.unique(probabilities), 1.1]]
    assert AT[metric](labels, probabilities, best) == pytest.approx(max(values))
    as_float32 = AT[metric](labels, probabilities.astype(np.float32), best)
    assert as_float32 == pytest.approx(max(values))


def test_the_best_threshold_lies_half_way_and_can_call_all_or_none() -> None:
    probabilities = np.array([0.2, 0.4, 0.6, 0.9])
    assert best_threshold(np.array([0, 0, 1, 1]), probabilities) == 0.5
    assert best_threshold(np.array([1, 1, 1, 1]), probabilities, "accuracy") == 0
    assert 0.9 < best_threshold(np.array([0, 0, 0, 0]), probabilities, "accuracy") <= 1
    assert best_threshold(np.array([0, 0]), np.array([0.5, 1.0]), "accuracy") > 1
    neighbours = np.array([0.5, np.nextafter(0.5, 1)])
    assert judge.accuracy_at(np.array([0, 1]), neighbours, best_threshold(np.array([0, 1]), neighbours)) == 1
    with pytest.raises(ConfigError, match=r"'accuracy' or 'f1'; found metric 'recall'.*neither"):
        best_threshold(np.array([0, 1]), neighbours, "recall")
    with pytest.raises(DataError, match="2 rows, 0 of them positive"):
        best_threshold(np.array([0, 0]), neighbours)
    with pytest.raises(DataError, match="0 rows"):
        best_threshold(np.zeros(0), np.zeros(0), "accuracy")


def test_what_the_rows_do_not_define_is_nan() -> None:
    none = np.zeros(0)
    values = [judge.log_loss(none, none), judge.brier(none, none), judge.accuracy_at(none, none), judge.f1_at(none, none)]
    assert np.isnan([*values, *judge.log_loss_interval(none, none)]).all()
    negative, low = np.zeros(3), np.full(3, 0.1)
    assert np.isnan([judge.precision_at(negative, low), judge.recall_at(negative, low), judge.f1_at(negative, low)]).all()
    assert judge.f1_at(negative, low, 0.05) == 0
    assert np.isnan(judge.log_loss(negative, low, np.zeros(3)))


def test_log_loss_is_paired_row_by_row() -> None:
    labels, first = world(0)
    second = np.clip(first + np.random.default_rng(1).normal(0, 0.1, len(first)), 0, 1)
    got = judge.log_loss_difference(labels, first, second)
    each = [-np.log(np.clip(np.where(labels == 1, p, 1 - p), CLIP, 1 - CLIP)) for p in (first, second)]
    want = stats.ttest_rel(each[1], each[0])
    assert got.p_value == pytest.approx(want.pvalue)
    assert got.interval == pytest.approx(tuple(want.confidence_interval()))
    assert got.value == pytest.approx(judge.log_loss(labels, second) - judge.log_loss(labels, first))
    assert judge.log_loss_difference(labels, first, first).p_value == 1


def test_intervals_of_log_loss_cover() -> None:
    rng, covered = np.random.default_rng(0), 0
    grid = np.linspace(0.1, 0.9, 100_001)
    true = -np.mean(grid * np.log(grid) + (1 - grid) * np.log(1 - grid))
    for _ in range(500):
        p = rng.uniform(0.1, 0.9, 200)
        low, high = judge.log_loss_interval(rng.random(200) < p, p)
        covered += low <= true <= high
    assert 0.92 < covered / 500 < 0.975


def test_classes_are_judged_by_their_own_probability_and_by_the_expected_class() -> None:
    labels, probabilities = np.array([0, 2]), np.array([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]])
    assert judge.class_log_loss(labels, probabilities) == pytest.approx(np.log(2))
    # expected classes .75 and 1.5
    assert judge.class_rmse(labels, probabilities) == pytest.approx(np.sqrt((0.75**2 + 0.5**2) / 2))
    stars = judge.class_rmse(labels, probabilities, np.array([1, 3, 5]))
    assert stars == pytest.approx(2 * judge.class_rmse(labels, probabilities))
    both, one = np.array([[0.3, 0.7], [0.9, 0.1]]), np.array([0.7, 0.1])
    assert judge.class_log_loss(np.array([1, 0]), both) == pytest.approx(judge.log_loss(np.array([1, 0]), one))
    assert np.isnan(judge.class_log_loss(np.zeros(0, int), np.zeros((0, 3))))


def test_classes_that_cannot_be_judged_are_refused() -> None:
    probabilities = np.full((2, 5), 0.2)
    with pytest.raises(DataError, match=r"expected 0…4; found class 5 in row 1.*count from 0"):
        judge.class_log_loss(np.array([1, 5]), probabilities)
    with pytest.raises(DataError, match="row 0 that sum to 5"):
        judge.class_log_loss(np.array([1, 2]), probabilities * 5)
    with pytest.raises(DataError, match="whole numbers"):
        judge.class_rmse(np.array([1.0, 2.0]), probabilities)
    with pytest.raises(DataError, match="one value for each class"):
        judge.class_rmse(np.array([1, 2]), probabilities, np.arange(4))
    with pytest.raises(DataError, match=r"labels \(3,\)"):
        judge.class_rmse(np.array([1, 2, 3]), probabilities)


@given(seeds)
def test_the_report_holds_what_the_functions_say(seed: int) -> None:
    labels, probabilities = world(seed)
    groups = np.random.default_rng(seed).integers(0, 30, len(labels))
    report = judge_labels(labels, probabilities, groups=groups, threshold=0.3, confidence=0.9)
    grouped = judge.grouped_auc(labels, probabilities, groups)
    want = {
        "log_loss": judge.log_loss(labels, probabilities),
        "auc": judge.auc(labels, probabilities),
        "grouped_auc": grouped.value,
        "brier": judge.brier(labels, probabilities),
        "calibration_error": judge.calibration_error(labels, probabilities),
        **{name: at(labels, probabilities, 0.3) for name, at in AT.items()},
    }
    assert report.metrics == pytest.approx(want)
    assert list(report.metrics) == list(want)
    assert report.intervals["auc"] == judge.auc_interval(labels, probabilities, 0.9)
    assert report.intervals["log_loss"] == judge.log_loss_interval(labels, probabilities, 0.9)
    assert all(low <= report.metrics[name] <= high for name, (low, high) in report.intervals.items())
    assert report.reliability == judge.reliability(labels, probabilities, confidence=0.9)
    assert (report.rows, report.positives, report.grouped_rows) == (200, labels.sum(), grouped.rows)


def test_a_report_comes_back_from_plain_values_even_where_a_metric_is_not_defined() -> None:
    labels, probabilities = world(0)
    for y in (labels, np.zeros(len(labels))):
        report = judge_labels(y, probabilities, groups=np.arange(len(y)) % 9, threshold=0.99)
        plain = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        again = LabelReport.from_dict(plain)
        assert again.to_dict() == report.to_dict()
        assert again.reliability == report.reliability
        assert again.metrics == pytest.approx(report.metrics, nan_ok=True)
    assert plain["metrics"]["auc"] is None
    assert np.isnan(again.metrics["auc"])


def test_a_damaged_report_is_a_typed_error() -> None:
    plain = judge_labels(*world(0)).to_dict()
    for broken, message in [
        ([], "no report"),
        ({**plain, "format": 2}, "update"),
        ({**plain, "reliability": [{"share": 1}]}, "damaged"),
        ({**plain, "metrics": None}, "damaged"),
        ({key: value for key, value in plain.items() if key != "rows"}, "damaged"),
    ]:
        with pytest.raises(DataError, match=message):
            LabelReport.from_dict(broken)


def test_the_terminal_shows_metrics_and_intervals() -> None:
    labels, probabilities = world(0)
    report = judge_labels(labels, probabilities, groups=np.arange(200) % 9, threshold=0.5)
    console = Console(width=100, file=io.StringIO())
    console.print(report)
    for part in (f"{report.metrics['auc']:.4f}", f"{report.intervals['auc'][1]:.4f}", "200 rows", "95% interval", "from 0.5"):
        assert part in console.file.getvalue()


def test_rows_that_cannot_be_judged_are_refused() -> None:
    labels, probabilities = world(0)
    with pytest.raises(DataError, match="labelled rows to judge; found no rows"):
        judge_labels(np.zeros(0), np.zeros(0))
    with pytest.raises(DataError, match=r"probabilities in 0…1; found probability 1.5 in row 0.*logits"):
        judge_labels(labels, probabilities + 1.5 - probabilities[0])
    with pytest.raises(ConfigError, match="confidence 95"):
        judge_labels(labels, probabilities, confidence=95)
