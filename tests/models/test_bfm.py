"""BFM draws from the posterior it claims, finds what was planted, and knows strangers by their history."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.bfm import Bfm, _Chain
from tastemaker.nn import regressions

_MINUTE = 60_000_000


def _rows(user, item, value, time=None):
    n = len(user)
    return Interactions(
        np.asarray(user, np.int32),
        np.asarray(item, np.int32),
        np.arange(n) if time is None else np.asarray(time),
        np.asarray(value, np.float32),
        np.zeros(n, np.int8),
        np.full(n, -1, np.int8),
    )


def _planted(seed=0, users=60, items=30):
    draw = np.random.default_rng(seed)
    truth = (
        3
        + draw.normal(0, 0.6, (users, 1))
        + draw.normal(0, 0.6, (1, items))
        + draw.normal(0, 0.7, (users, 2)) @ draw.normal(0, 0.7, (2, items))
    )
    shown = draw.random((users, items)) < 0.7
    user, item = np.nonzero(shown)
    return truth, shown, _rows(user + 2, item + 2, truth[shown] + draw.normal(0, 0.1, len(user)))


def _fitted(rows, users, items, **settings):
    model = Bfm(
        Bfm.Config(**{"dim": 4, "rank": 12, "sessions": (), "burn_in": 30, "draws": 60, **settings}),
        FeatureSchema(users, items),
    )
    model.solve(rows)
    return model.eval()


def _asked(model, user, item, times=None):
    """Predicted values of pairs of codes, asked without history."""
    query = Query.of(np.asarray(user), Histories.of([[]] * len(user)))
    found = model.score_each(query, torch.as_tensor(item), times=None if times is None else torch.as_tensor(times))
    return found.numpy()


def test_draws_given_data_drawn_given_them_have_the_distribution_of_the_prior(monkeypatch):
    """Geweke 2004, "Getting it right": a chain that also draws new values from the model at each step must stay at the prior.

    Every precision has the prior Gamma(1, rate), whose logarithm has mean -0.577 - log(rate) and standard deviation 1.283. The rate is
    1 here: what is 100 times as precise moves too slowly.
    """
    monkeypatch.setattr(regressions, "RATE", 1.0)
    draw = np.random.default_rng(0)
    user, item = np.repeat(np.arange(5), 2), np.concatenate([draw.permutation(4)[:2] for _ in range(5)])
    rows = _rows(user, item, np.zeros(10), np.arange(10) // 2 * 10 * _MINUTE + np.arange(10) % 2 * _MINUTE)
    config = Bfm.Config(dim=1, sessions=(2.0,))
    chain = _Chain(config, FeatureSchema(5, 4), rows, np.zeros(10), draw)
    found = []
    for _ in range(1500):
        chain.step()
        noise = torch.from_numpy(draw.standard_normal(10, dtype=np.float32))
        chain.values = chain.values - chain._rest() + noise / chain.noise_precision**0.5
        found.append([chain.noise_precision, chain.sessions[0].precision, *chain.of_users.precision, *chain.of_items.weights])
    logs = np.log(np.array(found, dtype=np.float64))
    blocks = logs.reshape(15, 100, -1).mean(axis=1)
    error = blocks.std(axis=0, ddof=1) / 15**0.5
    assert (error < 0.3).all()
    np.testing.assert_array_less(np.abs(logs.mean(axis=0) + 0.5772), 5 * error)


def test_planted_ratings_are_recovered_better_than_biases_alone_could():
    truth, shown, rows = _planted()
    model = _fitted(rows, 62, 32)
    user, item = np.nonzero(~shown)
    rest = truth[~shown]
    additive = truth.mean(1, keepdims=True) + truth.mean(0, keepdims=True) - truth.mean()
    error = np.sqrt(((_asked(model, user + 2, item + 2) - rest) ** 2).mean())
    assert error < 0.3 * np.sqrt(((additive[~shown] - rest) ** 2).mean())


def test_a_stranger_is_predicted_like_the_trained_user_with_the_same_ratings():
    _, _, rows = _planted()
    model = _fitted(rows, 62, 32)
    histories = rows.histories(62)
    known = model.score(Query.of(np.arange(2, 62), Histories.of([[]] * 60)))[:, 2:]
    strange = model.score(Query.of(np.ones(60, np.int64), histories.take(np.arange(2, 62))))[:, 2:]
    assert float((known - strange).square().mean().sqrt()) < 0.2 * float(known.std())


def test_a_user_with_nothing_is_the_mean_user():
    _, _, rows = _planted()
    model = _fitted(rows, 63, 32)
    nobody = model.score(Query.of(np.array([1, 62]), Histories.of([[], []])))[:, 2:]
    everybody = model.score(Query.of(np.arange(2, 62), Histories.of([[]] * 60)))[:, 2:]
    torch.testing.assert_close(nobody, everybody.mean(0).expand(2, -1), rtol=1e-3, atol=1e-3)


def test_predictions_stay_inside_the_range_of_values_seen():
    _, _, rows = _planted()
    model = _fitted(rows, 62, 32, draws=5)
    model.user_vectors[2, -2] += 100.0
    assert _asked(model, [2], [3])[0] == rows.value.max()


def test_a_user_who_rates_higher_for_ten_minutes_is_predicted_so_for_these_alone():
    draw = np.random.default_rng(0)
    user, item = np.nonzero(draw.random((40, 30)) < 0.6)
    late = draw.random(len(user)) < 0.5
    time = np.where(late, 3, 1) * 1000 * _MINUTE
    rows = _rows(user + 2, item + 2, 3 + np.where(late, 0.8, 0.0) * (-1.0) ** user + draw.normal(0, 0.1, len(user)), time)
    model = _fitted(rows, 42, 32, sessions=(10.0,), dim=2)
    early, then, never = (_asked(model, np.arange(2, 42), [5] * 40, [t * 1000 * _MINUTE] * 40) for t in (1, 3, 2))
    np.testing.assert_allclose(then - early, 0.8 * (-1.0) ** np.arange(40), atol=0.25)
    np.testing.assert_array_equal(never, _asked(model, np.arange(2, 42), [5] * 40))


def test_what_was_rated_tells_of_a_user_who_rated_little():
    """Those who rated a certain item rate everything higher; three noisy ratings do not say so, but that one was of that item does."""
    draw = np.random.default_rng(3)
    marked = np.arange(200) % 2
    user = np.repeat(np.arange(200), 3)
    item = np.concatenate([[*(1 + draw.permutation(19)[:2]), 0 if mark else 20] for mark in marked])
    shift = np.where(marked == 1, 1.0, -1.0)
    rows = _rows(user + 2, item + 2, 3 + shift[user] + draw.normal(0, 1.5, len(user)))
    errors = []
    for implicit in (False, True):
        model = _fitted(rows, 202, 23, implicit=implicit, dim=2, burn_in=60, draws=100)
        predicted = _asked(model, np.arange(2, 202), [5] * 200)
        errors.append(np.sqrt(((predicted - 3 - shift) ** 2).mean()))
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.parametrize("has_times", [True, False])
def test_equal_values_are_predicted_as_they_are(has_times):
    rows = _rows([2, 2, 3, 4], [2, 3, 3, 4], [4.0] * 4, np.arange(4) * has_times)
    model = _fitted(rows, 6, 6, draws=5)
    np.testing.assert_array_equal(_asked(model, [2, 5, 1], [4, 2, 3]), 4.0)
