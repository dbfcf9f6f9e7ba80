import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from tastemaker.errors import DataError
from tastemaker.evaluate.report import Report
from tastemaker.evaluate.significance import compare, holm, paired_t, permutation


def report(values: np.ndarray, metric: str = "ndcg@10", judged_on: str = "a") -> Report:
    mean = float(values.mean())
    return Report(
        {metric: mean}, {metric: (mean - 0.1, mean + 0.1)}, {metric: values}, np.arange(len(values)), judged_on=judged_on
    )


rng_of_flips = np.random.default_rng(5)


@pytest.mark.parametrize("test", [paired_t, lambda a, b: permutation(a, b, rng_of_flips, flips=999)])
def test_p_values_are_uniform_where_there_is_no_difference(test):
    rng = np.random.default_rng(0)
    p = []
    for _ in range(600):
        user = rng.random(80)  # how easy each user is: shared, and no help to either
        first, second = (user + rng.exponential(size=80) for _ in range(2))
        p.append(test(first, second))
    share = np.array([(np.array(p) <= level).mean() for level in (0.05, 0.2, 0.5)])
    error = np.sqrt(np.array([0.05, 0.2, 0.5]) * np.array([0.95, 0.8, 0.5]) / 600)
    assert (np.abs(share - [0.05, 0.2, 0.5]) < 3.5 * error).all()


def test_paired_t_equals_scipy():
    rng = np.random.default_rng(0)
    first, second = rng.random(50), rng.random(50)
    assert paired_t(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue)


def test_permutation_equals_scipy_exact_on_few_users():
    rng = np.random.default_rng(1)
    first, second = rng.random(9), rng.random(9) - 0.2
    exact = stats.permutation_test((first - second,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert permutation(first, second, rng, flips=40_000) == pytest.approx(exact, abs=0.01)


def test_permutation_counts_ties_of_lumpy_values_as_extreme():
    first, second = np.full(4, 0.1), np.zeros(4)  # 2 of 16 sign patterns are as extreme
    assert permutation(first, second, np.random.default_rng(0), flips=20_000) == pytest.approx(1 / 8, abs=0.01)


@pytest.mark.parametrize("test", [paired_t, lambda a, b: permutation(a, b, np.random.default_rng(0))])
def test_equal_values_are_no_evidence_and_a_real_difference_is(test):
    rng = np.random.default_rng(0)
    values = rng.random(300)
    assert test(values, values) == 1
    assert test(values + 0.05 + rng.normal(0, 0.05, 300), values) < 0.001
    with pytest.raises(DataError, match="each user"):
        test(values, values[:-1])


def test_the_same_gain_for_everyone_is_certain():
    assert paired_t(np.full(5, 0.75), np.full(5, 0.5)) == 0
    assert paired_t(np.array([1.0]), np.array([0.0])) == 1


def test_holm_worked_example():
    # Holm 1979: the smallest of m times m, the next times m - 1, …, never falling, at most 1
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, 0.9])), [1, 1])
    assert holm(np.array([])).shape == (0,)


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8), level=st.sampled_from([0.01, 0.05, 0.3]))
@settings(max_examples=100, deadline=None)
def test_holm_rejects_what_the_step_down_procedure_rejects(p, level):
    rejected = set()
    for step, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[place] * (len(p) - step) > level:
            break
        rejected.add(place)
    assert {i for i, value in enumerate(holm(np.array(p))) if value <= level} == rejected


@pytest.mark.parametrize("test", ["t", "permutation"])
def test_a_comparison_tells_better_from_worse_and_from_noise(test):
    rng = np.random.default_rng(0)
    base = rng.random(500)
    noise = rng.normal(0, 0.05, (3, 500))
    reports = {
        "mine": report(base),
        "good": report(base + 0.1 + noise[0]),
        "bad": report(base - 0.1 + noise[1]),
        "same": report(base),
    }
    found = {row.name: row for row in compare(reports, test=test).rows}
    assert {name: row.verdict for name, row in found.items()} == {"mine": "", "good": "better", "bad": "worse", "same": ""}
    assert found["mine"].p_value is None
    assert found["good"].difference == pytest.approx(0.1, abs=0.01)
    low, high = found["good"].difference_interval
    assert low < found["good"].difference < high
    assert found["good"].p_holm == pytest.approx(found["good"].p_value * 3)


def test_a_lower_error_is_better():
    rng = np.random.default_rng(0)
    base = rng.random(300)
    rows = compare({"a": report(base, "rmse"), "b": report(base - 0.2 + rng.normal(0, 0.1, 300), "rmse")}).rows
    assert rows[1].verdict == "better"
    assert rows[1].difference < 0


def test_difference_intervals_cover_the_true_difference_as_often_as_they_say():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        base = rng.random(60)
        rows = compare({"a": report(base), "b": report(base + 0.3 + rng.normal(0, 1, 60))}).rows
        covered += rows[1].difference_interval[0] <= 0.3 <= rows[1].difference_interval[1]
    assert 0.91 < covered / 400 < 0.985


def test_correction_stays_within_a_metric():
    rng = np.random.default_rng(0)

    def both(shift: float) -> Report:
        values = {"ndcg@10": rng.random(50) + shift, "mrr@10": rng.random(50)}
        return Report({k: v.mean() for k, v in values.items()}, {}, values, np.arange(50))

    reports = {"a": both(0), "b": both(0.1), "c": both(0.2)}
    whole = {(r.metric, r.name): r.p_holm for r in compare(reports).rows}
    alone = {(r.metric, r.name): r.p_holm for r in compare(reports, metrics=["ndcg@10"]).rows}
    assert all(whole[key] == value for key, value in alone.items())


def test_reports_that_cannot_be_paired_are_refused():
    values = np.random.default_rng(0).random(20)
    with pytest.raises(DataError, match="other users or targets"):
        compare({"a": report(values), "b": report(values, judged_on="b")})
    with pytest.raises(DataError, match="other users or targets"):
        compare({"a": report(values), "b": report(values[:-1])})
    with pytest.raises(DataError, match="metric that every report has"):
        compare({"a": report(values), "b": report(values, "rmse")})
    with pytest.raises(DataError, match=r"lacking: \['mrr@5'\]"):
        compare({"a": report(values)}, metrics=["mrr@5"])
    with pytest.raises(DataError, match=r"Report\.load"):
        compare({"a": report(values), "b": Report.from_dict(report(values).to_dict())})
    with pytest.raises(DataError, match="reports to compare"):
        compare({})


def test_plain_values_and_the_table_hold_what_was_found():
    rng = np.random.default_rng(0)
    base = rng.random(1200)
    comparison = compare({"mine": report(base), "other": report(base - 0.1 + rng.normal(0, 0.05, 1200))})
    plain = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
    assert plain["metrics"]["ndcg@10"]["other"]["verdict"] == "worse"
    assert plain["metrics"]["ndcg@10"]["mine"]["p_holm"] is None
    console = Console(width=100, file=io.StringIO())
    console.print(comparison)
    text = console.file.getvalue()
    for part in ("mine", "other", f"{base.mean():.4f}", "< .001", "worse", "1,200 users", "against mine"):
        assert part in text
