"""Losses of rows point the right way and agree where theory says so."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tastemaker.train import row_losses as losses

seeds = st.integers(0, 10_000)
ORDERED = ("bce", "focal", "pairwise", "listwise")
every = pytest.mark.parametrize("name", [*losses.NAMES, "listwise_softmax", "focal_alpha"])


def world(seed: int, rows: int = 24, grades: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Logits in float64, labels and groups whose rows are not adjacent; some groups have one row or one label."""
    make = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, generator=make, dtype=torch.float64)
    labels = torch.randint(0, grades, (rows,), generator=make)
    return logits, labels, 7 * torch.randint(0, 6, (rows,), generator=make) - 11


def cost(name: str, logits: Tensor, labels: Tensor, groups: Tensor, weights: Tensor | None = None) -> Tensor:
    given = {} if weights is None else {"weights": weights}
    match name:
        case "listwise_softmax":
            return losses.listwise(logits, labels, groups, target="softmax")
        case "focal_alpha":
            return losses.focal(logits, labels, alpha=0.25, gamma=1.5, **given)
        case "classes":
            return losses.classes(torch.stack([torch.zeros_like(logits), logits], 1), labels, **given)
    return losses.BY_NAME[name](logits, labels, *([groups] if name in losses.GROUPED else []), **given)


@every
def test_gradients_equal_finite_differences(name: str) -> None:
    logits, labels, groups = world(0, 12)
    assert torch.autograd.gradcheck(lambda s: cost(name, s, labels, groups), (logits.requires_grad_(),))


@pytest.mark.parametrize("name", [*ORDERED, "classes", "listwise_softmax", "focal_alpha"])
@given(seed=seeds, grades=st.integers(2, 4))
def test_a_better_ranking_never_costs_more(name: str, seed: int, grades: int) -> None:
    """Two rows of a group in the wrong order change their logits."""
    logits, labels, groups = world(seed, grades=grades if name in losses.GROUPED or name == "listwise_softmax" else 2)
    wrong = (groups[:, None] == groups) & (labels[:, None] > labels) & (logits[:, None] < logits)
    before = cost(name, logits, labels, groups)
    for high, low in wrong.nonzero()[:5].tolist():
        better = logits.clone()
        better[high], better[low] = logits[low], logits[high]
        assert float(cost(name, better, labels, groups)) <= float(before) + 1e-12


@pytest.mark.parametrize("name", ["bce", "focal", "focal_alpha", "classes", "pairwise"])
@given(seed=seeds, lift=st.floats(0.01, 5))
def test_raising_a_positive_or_lowering_a_negative_never_costs_more(name: str, seed: int, lift: float) -> None:
    logits, labels, groups = world(seed)
    for row in range(3):
        better = logits.clone()
        better[row] += lift if labels[row] else -lift
        assert float(cost(name, better, labels, groups)) <= float(cost(name, logits, labels, groups)) + 1e-12


@pytest.mark.parametrize("name", ["bce", "focal", "focal_alpha", "classes", "pairwise"])
@given(seed=seeds)
def test_a_weight_of_two_is_the_row_twice(name: str, seed: int) -> None:
    logits, labels, groups = world(seed)
    weights = torch.randint(0, 4, (len(logits),), generator=torch.Generator().manual_seed(seed))
    twice = [values.repeat_interleave(weights) for values in (logits, labels, groups)]
    assert torch.allclose(cost(name, logits, labels, groups, weights), cost(name, *twice))
    assert torch.allclose(cost(name, logits, labels, groups, 3 * weights), cost(name, *twice))
    assert torch.allclose(cost(name, logits, labels, groups, torch.ones(24)), cost(name, logits, labels, groups))


@every
@given(seed=seeds)
def test_the_order_of_rows_and_the_names_of_groups_change_nothing(name: str, seed: int) -> None:
    logits, labels, groups = world(seed)
    other = torch.randperm(len(logits), generator=torch.Generator().manual_seed(seed))
    got = cost(name, logits[other], labels[other], 100 - 3 * groups[other])
    assert torch.allclose(got, cost(name, logits, labels, groups))


@pytest.mark.parametrize("name", [*losses.GROUPED, "listwise_softmax"])
@given(seed=seeds)
def test_a_shift_of_a_group_changes_nothing(name: str, seed: int) -> None:
    logits, labels, groups = world(seed, grades=3)
    assert torch.allclose(cost(name, logits + 5 * groups, labels, groups), cost(name, logits, labels, groups))


@given(seed=seeds, grades=st.integers(1, 4))
def test_pairwise_is_the_mean_over_pairs_one_by_one(seed: int, grades: int) -> None:
    logits, labels, groups = world(seed, grades=grades)
    weights = torch.rand(24, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    total, mass = 0.0, 0.0
    for i in range(24):
        for j in range(24):
            if groups[i] == groups[j] and labels[i] > labels[j]:
                pair = float(weights[i] * weights[j])
                total, mass = total + pair * float(F.softplus(logits[j] - logits[i])), mass + pair
    assert float(losses.pairwise(logits, labels, groups, weights)) == pytest.approx(total / mass if mass else 0)


@pytest.mark.parametrize("target", ["share", "softmax"])
@given(seed=seeds, grades=st.integers(1, 4))
def test_listwise_is_the_cross_entropy_of_each_group(target: str, seed: int, grades: int) -> None:
    logits, labels, groups = world(seed, grades=grades)
    found = []
    for group in groups.unique():
        y, s = labels[groups == group].double(), logits[groups == group]
        if y.unique().numel() > 1:
            found.append(F.cross_entropy(s, y.softmax(0) if target == "softmax" else y / y.sum()))
    want = torch.stack(found).mean() if found else torch.tensor(0.0).double()
    assert torch.allclose(losses.listwise(logits, labels, groups, target=target), want)


@given(seed=seeds)
def test_lambda_rank_weighs_pairs_by_the_change_of_ndcg(seed: int) -> None:
    logits, labels, groups = world(seed, 10, grades=4)
    total, asked = 0.0, 0
    for group in groups.unique():
        y, s = labels[groups == group], logits[groups == group]

        def dcg(y: Tensor, s: Tensor) -> float:
            ranked = y[s.argsort(descending=True)].tolist()
            return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(ranked))

        if y.unique().numel() == 1:
            continue
        asked += 1
        for i in range(len(y)):
            for j in range(len(y)):
                if y[i] > y[j]:
                    turned = s.clone()
                    turned[i], turned[j] = s[j], s[i]
                    change = abs(dcg(y, turned) - dcg(y, s)) / dcg(y, y)
                    total += change * float(F.softplus(s[j] - s[i]))
    assert float(losses.lambda_rank(logits, labels, groups)) == pytest.approx(total / max(1, asked))


def test_a_step_against_the_gradient_of_lambda_rank_sorts_a_list() -> None:
    labels, groups = torch.tensor([0, 1, 3, 2, 0]), torch.zeros(5, dtype=torch.int64)
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    for _ in range(50):
        (gradient,) = torch.autograd.grad(losses.lambda_rank(logits, labels, groups), logits)
        logits = (logits - gradient).detach().requires_grad_()
    assert logits.argsort(descending=True).tolist()[:3] == [2, 3, 1]


@given(seed=seeds)
def test_focal_without_focus_is_bce_and_its_formula_with_it(seed: int) -> None:
    logits, labels, _ = world(seed)
    assert torch.allclose(losses.focal(logits, labels, gamma=0), losses.bce(logits, labels))
    assert torch.allclose(losses.focal(logits, labels, gamma=0, alpha=0.5), losses.bce(logits, labels) / 2)
    p = torch.where(labels == 1, logits.sigmoid(), 1 - logits.sigmoid())
    share = torch.where(labels == 1, 0.25, 0.75)
    assert torch.allclose(losses.focal(logits, labels, alpha=0.25), (-share * (1 - p) ** 2 * p.log()).mean())


@given(seed=seeds)
def test_two_classes_are_bce_and_pairs_of_two_rows_are_listwise(seed: int) -> None:
    logits, labels, groups = world(seed)
    assert torch.allclose(cost("classes", logits, labels, groups), losses.bce(logits, labels))
    pairs, ends = torch.arange(12).repeat(2), torch.tensor([1, 0]).repeat_interleave(12)
    assert torch.allclose(losses.pairwise(logits, ends, pairs), losses.listwise(logits, ends, pairs))


@every
def test_far_logits_cost_no_nan(name: str) -> None:
    _, labels, groups = world(0)
    for sign in (1, -1):
        logits = (sign * 1e4 * (2.0 * labels - 1)).requires_grad_()
        found = cost(name, logits, labels, groups)
        (gradient,) = torch.autograd.grad(found, logits)
        assert bool(found.isfinite()) and bool(gradient.isfinite().all())


@every
@pytest.mark.parametrize("rows", [0, 4])
def test_what_has_nothing_to_say_costs_nothing(name: str, rows: int) -> None:
    logits = torch.randn(rows, requires_grad=True)
    weights = torch.zeros(rows) if name in ("bce", "focal", "focal_alpha", "classes", "pairwise") else None
    found = cost(name, logits, torch.ones(rows, dtype=torch.int64), torch.zeros(rows, dtype=torch.int64), weights)
    (gradient,) = torch.autograd.grad(found, logits)
    assert float(found.detach()) == 0
    assert not gradient.any()


def test_the_table_names_every_loss() -> None:
    assert all(f"| `{name}`" in (losses.__doc__ or "") for name in losses.NAMES)
    assert set(losses.GROUPED) < set(losses.NAMES)


@given(st.floats(0.05, 1), st.floats(0, 1), st.floats(-4, 4))
def test_positives_by_inverse_propensity_cost_in_expectation_what_all_wishes_would(
    seen: float, wanted: float, logit: float
) -> None:
    logits = torch.tensor([logit], dtype=torch.float64)
    positive, negative = (float(losses.bce(logits, torch.tensor([label]))) for label in (1 / seen, 0.0))
    expected = seen * wanted * positive + (1 - seen * wanted) * negative
    assert math.isclose(expected, float(losses.bce(logits, torch.tensor([wanted]))), rel_tol=1e-5, abs_tol=1e-6)


@pytest.mark.parametrize("name", ["listwise", "pairwise"])
def test_positives_of_a_group_that_weigh_twice_are_the_group_twice(name: str) -> None:
    logits, labels, groups = world(3, 2)
    doubled = groups == groups[0]
    weights = torch.where(doubled & (labels > 0), 2.0, 1.0)
    twice = [torch.cat([one, one[doubled]]) for one in (logits, labels)]
    again = torch.cat([groups, torch.full((int(doubled.sum()),), -1)])
    cut = losses.BY_NAME[name]
    torch.testing.assert_close(cut(logits, labels, groups, weights), _by_weight(name, twice[0], twice[1], again))


def _by_weight(name: str, logits: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """The loss of rows that all weigh 1."""
    return losses.BY_NAME[name](logits, labels, groups, torch.ones(len(logits)))


def test_a_positive_of_no_weight_pulls_at_nothing() -> None:
    logits, labels = torch.randn(5, requires_grad=True), torch.tensor([1, 1, 0, 0, 0])
    groups, weights = torch.zeros(5, dtype=torch.int64), torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0])
    for name in ("pairwise", "lambda_rank"):
        (gradient,) = torch.autograd.grad(losses.BY_NAME[name](logits, labels, groups, weights), logits)
        assert float(gradient[0]) == 0 and float(gradient[1]) < 0, name
    (gradient,) = torch.autograd.grad(losses.listwise(logits, labels, groups, weights), logits)
    assert float(gradient[0]) > 0 > float(gradient[1])
