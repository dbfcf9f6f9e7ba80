"""MF recovers planted ratings, and folds in users it has never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import ConfigError
from tastemaker.models.base import Query
from tastemaker.models.mf import MF
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train


def _rows(user, item, value):
    n = len(user)
    return Interactions(
        np.asarray(user, np.int32),
        np.asarray(item, np.int32),
        np.arange(n),
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
    return truth, shown, _rows(user + 2, item + 2, truth[shown])


def test_planted_ratings_are_recovered_better_than_biases_alone_could():
    truth, shown, rows = _planted()
    torch.manual_seed(0)
    model = MF(MF.Config(dim=4), FeatureSchema(62, 32))
    config = TrainConfig(loss="squared_error", epochs=60, learning_rate=0.02, batch_targets=128, l2=0.01)
    list(train(model, rows, config))
    user, item = np.nonzero(~shown)
    predicted = (
        model.score_each(Query.of(user + 2, Histories.of([[]] * len(user))), torch.from_numpy(item + 2)).detach().numpy()
    )
    rest = truth[~shown]
    additive = truth.mean(1, keepdims=True) + truth.mean(0, keepdims=True) - truth.mean()
    assert np.sqrt(((predicted - rest) ** 2).mean()) < 0.6 * np.sqrt(((additive[~shown] - rest) ** 2).mean())


def test_a_folded_in_user_is_ranked_like_the_trained_one():
    groups = np.arange(40) % 2
    draw = np.random.default_rng(0)
    user = np.repeat(np.arange(40), 8)
    item = np.concatenate([draw.permutation(15)[:8] + 15 * group for group in groups])
    torch.manual_seed(0)
    model = MF(MF.Config(dim=8), FeatureSchema(43, 32))
    list(
        train(
            model,
            _rows(user + 2, item + 2, np.ones(len(user))),
            TrainConfig(loss="bpr", epochs=30, learning_rate=0.02, batch_targets=64),
        )
    )
    stranger = Query.of(np.array([42, 1]), Histories.of([[2, 3, 4], [20, 21, 22]]))
    best = model.score(stranger)[:, 2:].topk(12).indices
    assert bool((best[0] < 15).all())
    assert bool((best[1] >= 15).all())


def test_predictions_stay_inside_the_range_of_values_seen():
    _, _, rows = _planted()
    model = MF(MF.Config(dim=4), FeatureSchema(62, 32))
    model.observe(rows)
    with torch.no_grad():
        model.user_bias += 100.0
    query = Query.of(np.array([2]), Histories.of([[]]))
    assert float(model.eval().score_each(query, torch.tensor([3])).detach()) == float(rows.value.max())


def test_a_user_with_nothing_gets_the_items_by_their_bias():
    model = MF(MF.Config(dim=4), FeatureSchema(5, 10)).eval()
    with torch.no_grad():
        model.item_bias.copy_(torch.arange(10).float())
    scores = model.score(Query.of(np.array([1]), Histories.of([[]])))[0]
    assert scores.argsort(descending=True)[:3].tolist() == [9, 8, 7]


def test_cosines_over_the_temperature_are_what_is_scored():
    torch.manual_seed(0)
    rows = _rows([2, 2, 3], [2, 3, 4], [1, 1, 1])
    model = MF(MF.Config(dim=4, biases=False, similarity="cosine", temperature=0.2), FeatureSchema(5, 10))
    model.observe(rows)
    scores = model.eval().score(Query.of(np.array([2]), Histories.of([[2, 3]])))[0]
    user, items = model.user_embedding.weight[2], model.item_embedding.weight
    expected = torch.cosine_similarity(user[None], items) / 0.2
    assert torch.allclose(scores[2:], expected[2:], atol=1e-5)
    with torch.no_grad():
        model.item_embedding.weight[5] *= 100  # no item wins by its length
    assert torch.allclose(model.score(Query.of(np.array([2]), Histories.of([[2, 3]])))[0][2:], scores[2:], atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "chosen"),
    [(None, "cosine"), ("softmax", "cosine"), ("cross_entropy", "cosine"), ("bpr", "dot"), ("squared_error", "dot")],
)
def test_the_similarity_suits_the_loss_unless_it_is_given(loss, chosen):
    rows = _rows([2], [2], [1])
    assert MF.adapt(MF.Config(), rows, loss).similarity == chosen
    assert MF.adapt(MF.Config(similarity="dot"), rows, loss).similarity == "dot"


def test_a_stranger_folded_into_cosines_is_ranked_like_the_trained_one():
    groups = np.arange(40) % 2
    draw = np.random.default_rng(0)
    user = np.repeat(np.arange(40), 8)
    item = np.concatenate([draw.permutation(15)[:8] + 15 * group for group in groups])
    torch.manual_seed(0)
    model = MF(MF.Config(dim=8, similarity="cosine"), FeatureSchema(43, 32))
    list(train(model, _rows(user + 2, item + 2, np.ones(len(user))), TrainConfig(epochs=30, batch_targets=64)))
    stranger = Query.of(np.array([42, 1]), Histories.of([[2, 3, 4], [20, 21, 22]]))
    best = model.score(stranger)[:, 2:].topk(12).indices
    assert bool((best[0] < 15).all())
    assert bool((best[1] >= 15).all())


def test_ratings_have_defaults_of_their_own_and_settings_come_first():
    rows = _rows([2], [2], [4])
    assert MF.adapt(MF.Config(), rows, "squared_error").dropout > 0
    assert MF.adapt(MF.Config(dropout=0.0), rows, "squared_error").dropout == 0
    assert MF.adapt(MF.Config(), rows, "bpr").dropout == 0
    ratings = TrainConfig(loss="squared_error").adapted("pairs", MF.defaults("squared_error"), 80_000, 1000)
    assert (ratings.l2, ratings.batch_targets, ratings.epochs) == (0.03, 266, 10)
    given = TrainConfig(loss="squared_error", l2=0.0).adapted("pairs", MF.defaults("squared_error"), 80_000, 1000)
    assert given.l2 == 0
    assert TrainConfig().adapted("pairs", MF.defaults(None), 80_000, 1000).loss == "cross_entropy"


def test_without_biases_the_vectors_hold_nothing_but_directions():
    torch.manual_seed(0)
    rows = _rows([2, 2, 3], [2, 3, 4], [1, 1, 1])
    model = MF(MF.Config(dim=4, biases=False, similarity="dot"), FeatureSchema(5, 10))
    model.observe(rows)
    query = Query.of(np.array([2, 3]), Histories.of([[2, 3], [4]]))
    assert torch.equal(model.eval().encode_item(), model.item_embedding.weight)
    assert torch.equal(model.encode_user(query), model.user_embedding.weight[2:4])


def test_directau_brings_pairs_together_and_spreads_the_rest_over_the_sphere():
    groups = np.arange(40) % 2
    draw = np.random.default_rng(0)
    user = np.repeat(np.arange(40), 8)
    item = np.concatenate([draw.permutation(15)[:8] + 15 * group for group in groups])
    rows = _rows(user + 2, item + 2, np.ones(len(user)))
    torch.manual_seed(0)
    config = MF.adapt(MF.Config(dim=8), rows, "directau")
    assert (config.biases, config.similarity) == (False, "dot")
    model = MF(config, FeatureSchema(43, 32))
    list(train(model, rows, TrainConfig(loss="directau", epochs=30, learning_rate=0.02, batch_targets=64)))
    items = torch.nn.functional.normalize(model.encode_item()[2:], dim=1).detach()
    cosines = items @ items.T
    assert cosines[:15, :15].mean() > cosines[:15, 15:].mean() + 0.3
    assert abs(float(items.mean(0).norm())) < 0.3
    stranger = Query.of(np.array([42, 1]), Histories.of([[2, 3, 4], [20, 21, 22]]))
    best = model.score(stranger)[:, 2:].topk(12).indices
    assert bool((best[0] < 15).all())
    assert bool((best[1] >= 15).all())


def test_biases_are_refused_where_only_directions_count():
    with pytest.raises(ConfigError, match="vectors alone"):
        MF.adapt(MF.Config(biases=True), _rows([2], [2], [1]), "directau")


def test_without_biases_a_user_with_nothing_gets_what_the_mean_user_likes():
    torch.manual_seed(0)
    model = MF(MF.Config(dim=4, biases=False, similarity="dot"), FeatureSchema(6, 10))
    model.observe(_rows([2, 3], [2, 3], [1, 1]))
    nobody = model.eval().score(Query.of(np.array([1]), Histories.of([[]])))[0]
    expected = model.user_embedding.weight[2:4].mean(0) @ model.item_embedding.weight.T
    torch.testing.assert_close(nobody, expected)
