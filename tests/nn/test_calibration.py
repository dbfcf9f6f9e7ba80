from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor, nn

from tastemaker.errors import DataError
from tastemaker.nn.calibration import Isotonic, Platt

seeds = st.integers(0, 10_000)
both = pytest.mark.parametrize("kind", [Platt, Isotonic, lambda: Platt(intercept=False)])


def world(seed: int, rows: int = 200, slope: float = 1.0, intercept: float = 0.0) -> tuple[Tensor, Tensor]:
    """Logits, and labels drawn with probability σ(slope · logit + intercept)."""
    make = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, generator=make)
    return logits, (torch.rand(rows, generator=make) < torch.sigmoid(slope * logits + intercept)).long()


@pytest.mark.parametrize(("slope", "intercept"), [(0.4, -1.5), (2.5, 0.7), (1.0, 0.0)])
def test_a_planted_slope_and_shift_are_found(slope: float, intercept: float) -> None:
    held = Platt()
    held.solve(*world(0, 40_000, slope, intercept))
    assert float(held.slope) == pytest.approx(slope, rel=0.05)
    assert float(held.intercept) == pytest.approx(intercept, abs=0.05)


def test_a_planted_temperature_is_found_without_a_shift() -> None:
    held = Platt(intercept=False)
    held.solve(*world(0, 40_000, 1 / 3))
    assert 1 / float(held.slope) == pytest.approx(3, rel=0.03)
    assert float(held.intercept) == 0


def test_isotonic_finds_a_curve_of_any_rising_shape() -> None:
    make = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(60_000, generator=make)
    true = 0.1 + 0.5 * torch.sigmoid(4 * (logits - 1)) + 0.2 * (logits > -1)
    held, sigmoid = Isotonic(), Platt()
    for one in (held, sigmoid):
        one.solve(logits, (torch.rand(60_000, generator=make) < true).long())
    away = [float((one(logits) - true).abs().mean()) for one in (held, sigmoid)]
    assert away[0] < 0.012
    assert away[1] > 0.04


@given(seeds, st.booleans(), st.floats(0.1, 3), st.floats(-2, 2))
def test_platt_has_the_least_cost_of_its_goals(seed: int, shifts: bool, slope: float, intercept: float) -> None:
    logits, labels = world(seed, 60, slope, intercept)
    held = Platt(intercept=shifts)
    held.solve(logits, labels)
    x, y = logits.double().numpy(), labels.numpy()
    goal = np.where(y == 1, (y.sum() + 1) / (y.sum() + 2), 1 / ((1 - y).sum() + 2))

    def cost(at: np.ndarray) -> float:
        scores = at[0] * x + (at[1] if shifts else 0)
        return float((np.logaddexp(0, scores) - goal * scores).sum())

    best = minimize(cost, np.array([1.0, 0.0])[: 1 + shifts], bounds=[(1e-3 / x.std(), None), (None, None)][: 1 + shifts])
    assert cost(np.array([float(held.slope), float(held.intercept)])) <= best.fun + 1e-5


@given(seeds)
def test_isotonic_equals_scikit_learn(seed: int) -> None:
    logits, labels = world(seed, 80)
    logits = (2 * logits).round() / 2  # many ties
    weights = torch.rand(80, generator=torch.Generator().manual_seed(seed)) + 0.1
    held, positives, negatives = Isotonic(), float(weights[labels == 1].sum()), float(weights[labels == 0].sum())
    held.solve(logits, labels, weights)
    bounds = {"y_min": 1 / (negatives + 2), "y_max": (positives + 1) / (positives + 2)}
    reference = IsotonicRegression(**bounds, out_of_bounds="clip")
    reference.fit(logits.double().numpy(), labels.double().numpy(), weights.double().numpy())
    grid = torch.linspace(-9, 9, 301)
    np.testing.assert_allclose(held(grid).numpy(), reference.predict(grid.double().numpy()), atol=2e-6)


@both
@given(seed=seeds, rows=st.integers(1, 60), scale=st.sampled_from([1e-3, 1.0, 300.0]))
def test_a_higher_logit_never_has_a_lower_probability(kind: type[nn.Module], seed: int, rows: int, scale: float) -> None:
    logits, labels = world(seed, rows)
    held = kind()
    held.solve(scale * logits, labels)
    asked = scale * torch.cat([logits, 4 * torch.randn(500, generator=torch.Generator().manual_seed(seed))])
    found = held(torch.cat([asked, held.knots]) if isinstance(held, Isotonic) else asked)
    risen = found[torch.argsort(torch.cat([asked, held.knots]) if isinstance(held, Isotonic) else asked, stable=True)]
    assert bool((risen.diff() >= 0).all())
    assert bool(((found >= 0) & (found <= 1)).all())


@both
@given(seed=seeds)
def test_a_weight_of_two_is_the_row_twice(kind: type[nn.Module], seed: int) -> None:
    logits, labels = world(seed)
    weights = torch.randint(0, 4, (200,), generator=torch.Generator().manual_seed(seed))
    once, twice = kind(), kind()
    once.solve(logits, labels, weights)
    twice.solve(logits.repeat_interleave(weights), labels.repeat_interleave(weights))
    assert torch.allclose(once(logits), twice(logits), atol=1e-5)


@pytest.mark.parametrize("intercept", [True, False])
def test_platt_changes_log_loss_but_not_auc(intercept: bool) -> None:
    logits, labels = world(0, 3000, 0.3, 0)
    held = Platt(intercept=intercept)
    held.solve(logits, labels)
    after = held(logits.double())
    assert roc_auc_score(labels, after) == roc_auc_score(labels, logits)
    assert log_loss(labels, after) < log_loss(labels, logits.double().sigmoid()) - 0.05


def test_platt_keeps_the_order_of_logits_that_mislead() -> None:
    logits, labels = world(0, 3000, -1, 0.5)
    held = Platt()
    held.solve(logits, labels)
    assert float(held.slope) > 0
    assert float(held(logits).mean()) == pytest.approx(float(labels.double().mean()), abs=1e-3)
    assert float(held(logits).std()) < 1e-3


@both
@pytest.mark.parametrize("label", [0, 1])
def test_no_row_is_certain_even_where_labels_are_all_alike(kind: type[nn.Module], label: int) -> None:
    held = kind()
    for logits in (torch.linspace(-3, 3, 50), torch.ones(50), torch.zeros(50)):
        held.solve(logits, torch.full((50,), label))
        found = held(logits)
        assert bool(((found > 0) & (found < 1)).all())
        if not (isinstance(held, Platt) and not held.shifts):
            assert float((found - label).abs().max()) < 0.03


def test_platt_parts_rows_that_do_not_overlap() -> None:
    logits = torch.linspace(-1e4, 1e4, 40)
    held = Platt()
    held.solve(logits, (logits > 0).long())
    found = held(logits)
    assert bool((found[:10] < 0.1).all()) and bool((found[-10:] > 0.9).all())
    assert float(found.min()) > 1e-6


@both
def test_a_saved_state_gives_the_same_probabilities(kind: type[nn.Module]) -> None:
    logits, labels = world(0)
    held, other = kind(), kind()
    assert torch.equal(held(logits), torch.sigmoid(logits))
    held.solve(logits, labels)
    assert not torch.equal(held(logits), torch.sigmoid(logits))
    other.load_state_dict(held.state_dict())
    assert torch.equal(held(logits), other(logits))
    assert held(logits.view(20, 10).bfloat16()).shape == (20, 10)
    assert held(logits.bfloat16()).dtype == torch.bfloat16


def test_a_damaged_state_of_isotonic_is_refused() -> None:
    held = Isotonic()
    held.solve(*world(0))
    state = held.state_dict()
    for broken, message in [
        ({**state, "heights": state["heights"][:-1]}, "heights are"),
        ({**state, "heights": state["heights"].flip(0)}, "do not rise"),
        ({**state, "knots": state["knots"] * 0}, "do not rise"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            Isotonic().load_state_dict(broken)


@both
def test_rows_that_cannot_be_fitted_are_refused(kind: type[nn.Module]) -> None:
    logits, labels = world(0, 10)
    for arguments, message in [
        ((logits, labels[:-1]), "one of each for each row"),
        ((logits, labels, torch.ones(3)), "one of each for each row"),
        ((logits, labels + 1), r"label 2 in row|labels of 0 or 1"),
        ((logits / 0, labels), "finite logits"),
        ((logits[:0], labels[:0]), "0 rows that weigh 0"),
        ((logits, labels, torch.zeros(10)), "10 rows that weigh 0"),
    ]:
        with pytest.raises(DataError, match=message):
            kind().solve(*arguments)
