"""Losses point the right way and agree where theory says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.train import losses

pairwise = pytest.mark.parametrize("name", sorted(losses.SAMPLED))


def _call(name, positive, negative, log_q=None):
    extra = {"num_items": 1000} if name == "gbce" else {}
    return losses.SAMPLED[name](positive, negative, torch.zeros_like(negative) if log_q is None else log_q, **extra)


@pairwise
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), lift=st.floats(0.01, 5))
def test_raising_the_positive_never_costs_more(name, seed, lift):
    make = torch.Generator().manual_seed(seed)
    positive, negative = torch.randn(5, generator=make) * 3, torch.randn(5, 7, generator=make) * 3
    assert bool((_call(name, positive + lift, negative) <= _call(name, positive, negative)).all())


@pytest.mark.parametrize("name", sorted(losses.SAMPLED.keys() - {"bpr_max", "top1_max"}))  # these also draw negatives to zero
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), lift=st.floats(0.01, 5))
def test_raising_a_negative_never_costs_less(name, seed, lift):
    make = torch.Generator().manual_seed(seed)
    positive, negative = torch.randn(5, generator=make) * 3, torch.randn(5, 7, generator=make) * 3
    worse = negative.clone()
    worse[:, 3] += lift
    assert bool((_call(name, positive, worse) >= _call(name, positive, negative)).all())


@pairwise
def test_gradients_equal_finite_differences(name):
    make = torch.Generator().manual_seed(0)
    positive = torch.randn(3, generator=make, dtype=torch.float64, requires_grad=True)
    negative = torch.randn(3, 4, generator=make, dtype=torch.float64, requires_grad=True)
    log_q = torch.randn(3, 4, generator=make, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p, n: _call(name, p, n, log_q), (positive, negative))


@pairwise
def test_a_negative_that_is_the_positive_drops_out(name):
    positive, negative = torch.tensor([0.3]), torch.tensor([[1.0, -torch.inf]])
    if name == "gbce":  # its positive weight depends on the size of the sample by definition
        assert bool(_call(name, positive, negative).isfinite().all())
    else:
        assert torch.allclose(_call(name, positive, negative), _call(name, positive, negative[:, :1]))


def test_the_losses_of_a_soft_maximum_are_their_formulas():
    positive, negative = torch.tensor([0.7]), torch.tensor([[0.2, -1.0, 1.5]])
    p, s = negative[0].softmax(0), torch.sigmoid
    want = -(p * s(0.7 - negative[0])).sum().log() + 0.3 * (p * negative[0] ** 2).sum()
    assert torch.allclose(losses.bpr_max(positive, negative, negative, penalty=0.3), want)
    want = (p * (s(negative[0] - 0.7) + s(negative[0] ** 2))).sum()
    assert torch.allclose(losses.top1_max(positive, negative, negative), want)


def test_ccl_costs_nothing_once_positives_point_the_same_way_and_negatives_are_below_the_margin():
    done = losses.ccl(torch.tensor([1.0]), torch.tensor([[0.3, -1.0]]), torch.zeros(1, 2), margin=0.4)
    assert float(done) == 0
    cost = losses.ccl(torch.tensor([0.5]), torch.tensor([[0.6, -1.0]]), torch.zeros(1, 2), margin=0.4, weight=10)
    assert torch.allclose(cost, torch.tensor([0.5 + 10 * 0.2 / 2]))


def test_directau_is_alignment_and_uniformity_by_their_definitions():
    make = torch.Generator().manual_seed(0)
    users, items = (torch.randn(6, 4, generator=make, dtype=torch.float64, requires_grad=True) for _ in range(2))
    got = losses.alignment_uniformity(users, items, gamma=0.7).mean()
    u, i = F.normalize(users, dim=1), F.normalize(items, dim=1)
    spread = [torch.pdist(x).square().mul(-2).exp().mean().log() for x in (u, i)]
    assert torch.allclose(got, (u - i).square().sum(1).mean() + 0.7 * (spread[0] + spread[1]) / 2)
    assert torch.autograd.gradcheck(losses.alignment_uniformity, (users, items))
    assert torch.allclose(losses.alignment_uniformity(3 * users, items / 2), losses.alignment_uniformity(users, items))
    assert bool(losses.alignment_uniformity(users[:1], items[:1]).isfinite().all())


def test_softmax_over_the_whole_catalogue_is_cross_entropy():
    scores = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(6)
    negative = scores.masked_fill(F.one_hot(targets, 10).bool(), -torch.inf)
    got = losses.softmax(scores[torch.arange(6), targets], negative, torch.zeros(6, 10))
    assert torch.allclose(got, F.cross_entropy(scores, targets, reduction="none"))


def test_logq_makes_popularity_sampled_softmax_estimate_the_full_one():
    make = torch.Generator().manual_seed(0)
    scores, popularity = torch.randn(50, generator=make), torch.rand(50, generator=make) + 0.05
    popularity = popularity / popularity.sum()
    draws = torch.multinomial(popularity, 200_000, replacement=True, generator=make)
    log_q = popularity[draws].log() + np.log(len(draws))
    estimate = (scores[draws] - log_q).logsumexp(0)
    assert float(estimate) == pytest.approx(float(scores.logsumexp(0)), abs=0.02)


def test_gbce_without_calibration_is_bce_summed_over_negatives():
    positive, negative = torch.tensor([0.5]), torch.tensor([[0.1, -0.4, 1.0]])
    got = losses.gbce(positive, negative, negative, num_items=500, t=0.0)
    assert torch.allclose(got, F.softplus(-positive) + F.softplus(negative).sum(-1))


def test_gbce_fully_calibrated_weighs_the_positive_by_the_sampling_rate():
    positive, negative = torch.tensor([0.5]), torch.zeros(1, 5)
    got = losses.gbce(positive, negative, negative, num_items=501, t=1.0)
    assert torch.allclose(got, 5 / 500 * F.softplus(-positive) + F.softplus(negative).sum(-1))
