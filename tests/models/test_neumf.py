"""NeuMF and ConvNCF by the papers' formulas, and strangers by those who took the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import ConfigError
from tastemaker.models import neumf
from tastemaker.models.base import Query
from tastemaker.models.neumf import NeuMF
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train


def _model(interactions, **settings):
    torch.manual_seed(0)
    model = NeuMF(NeuMF.Config(dim=4, **settings), FeatureSchema(32, 17))
    model.observe(interactions)
    return model.eval()


def _query(*users):
    return Query.of(np.array(users), Histories.of([[]] * len(users)))


def test_a_score_is_product_and_perceptron_of_the_two_vectors_side_by_side(interactions):
    model = _model(interactions, hidden=(6, 5, 3))
    torch.nn.init.normal_(model.network.product)
    items = torch.tensor([[3, 9], [4, 3]])
    found = model.score_each(_query(2, 5), items)
    net = model.network
    for row, user in enumerate([2, 5]):
        for column, item in enumerate(items[row].tolist()):
            p, q = model.user_embedding.weight[user], model.item_embedding.weight[item]
            weight = torch.cat([net.of_user.weight, net.of_item.weight], dim=1)  # one layer over [p', q']
            hidden = (weight @ torch.cat([p[4:], q[4:]]) + net.of_user.bias).relu()
            hidden = (net.layers[1].weight @ hidden + net.layers[1].bias).relu()
            hidden = (net.layers[3].weight @ hidden + net.layers[3].bias).relu()
            both = torch.cat([p[:4] * q[:4], hidden])
            expected = torch.cat([net.product, net.last.weight[0]]) @ both + net.last.bias[0]
            torch.testing.assert_close(found[row, column], expected)


def test_with_outer_a_score_is_a_network_over_the_map_of_products(interactions):
    model = _model(interactions, interaction="outer", channels=3)
    found = model.score_each(_query(2), torch.tensor([[7]]))
    cells = torch.outer(model.user_embedding.weight[2], model.item_embedding.weight[7])[None]
    for layer in (model.network.layers[0], model.network.layers[2]):
        size = cells.shape[1] // 2
        out = torch.zeros(3, size, size)
        for i in range(size):
            for j in range(size):
                window = cells[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                out[:, i, j] = (layer.weight * window).sum((1, 2, 3)) + layer.bias
        cells = out.relu()
    torch.testing.assert_close(found[0, 0], model.network.last(cells.flatten())[0])


@pytest.mark.parametrize("settings", [{}, {"interaction": "outer", "channels": 4}])
def test_scores_of_all_are_those_of_each_in_blocks_of_any_size(interactions, settings, monkeypatch):
    model = _model(interactions, **settings)
    query = Query.of(np.array([2, 7, 1, 1]), Histories.of([[], [3], [4, 5, 1], []]))
    each = model.score_each(query, torch.arange(17).expand(4, -1))
    for cells in (1, 700, 1 << 23):
        monkeypatch.setattr(neumf, "_CELLS", cells)
        torch.testing.assert_close(model.score(query), each)


def test_a_stranger_is_on_the_side_of_those_who_took_the_same_as_far_out_as_fits_trained_users(interactions):
    model = _model(interactions)
    table = model.user_embedding.weight.detach()
    trained = sorted(set(interactions.user.tolist()))
    centre = table[trained].mean(0)
    items = sorted(set(interactions.item.tolist()))
    taken = {item: table[sorted(set(interactions.user[interactions.item == item].tolist()))].mean(0) for item in items}
    own = {user: sorted(set(interactions.item[interactions.user == user].tolist())) for user in trained}
    far = torch.stack([sum(taken[item] for item in own[user]) / len(own[user]) - centre for user in trained])
    scale = np.polynomial.polynomial.polyfit(far.flatten().tolist(), (table[trained] - centre).flatten().tolist(), [1])[1]
    vectors, nobody = model._users(Query.of(np.array([1, 1, 2]), Histories.of([[3, 6, 6], [], [3]])))
    torch.testing.assert_close(vectors[0], centre + float(scale) * ((taken[3] + taken[6]) / 2 - centre))
    torch.testing.assert_close(vectors[2], table[2])
    assert nobody.tolist() == [False, True, False]


def test_a_user_with_nothing_gets_the_popularity_order(interactions):
    model = _model(interactions)
    users = [len(set(interactions.user[interactions.item == item].tolist())) for item in range(17)]
    expected = torch.tensor(users) / len(set(interactions.user.tolist()))
    torch.testing.assert_close(model.score(_query(1))[0], expected.float())


def test_convolutions_learn_the_tastes(interactions):
    model = _model(interactions, interaction="outer", channels=8)
    list(train(model, interactions, TrainConfig(epochs=40, learning_rate=0.01, batch_targets=64, seed=0)))
    scores = model.score(Query.of(np.array([1, 1]), Histories.of([[2, 4, 6], [3, 5, 7]]))).detach()
    assert scores[0, 2:16:2].mean() > scores[0, 3:16:2].mean() + 0.5
    assert scores[1, 3:16:2].mean() > scores[1, 2:16:2].mean() + 0.5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"channels": 8}, "no channels"),
        ({"interaction": "outer", "hidden": [8, 4]}, "no hidden"),
        ({"interaction": "outer", "dim": 12}, "power of two"),
    ],
)
def test_settings_without_effect_or_sense_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        NeuMF.Config.parse(settings, "model")


@pytest.mark.parametrize("loss", [None, "bce", "softmax", "bpr"])
def test_what_is_chosen_for_training_can_be_read_again(loss):
    chosen = TrainConfig(loss=loss).adapted(NeuMF.learns_from, NeuMF.defaults(loss), 5000, 300)
    assert chosen.loss == (loss or "bce")
    assert TrainConfig.parse(chosen.model_dump(mode="json", exclude_none=True), "train") == chosen


def test_product_and_perceptron_learn_apart_at_first_and_then_together(interactions):
    """Neither part's weights say anything of the other's, until both are halved and added up."""
    torch.manual_seed(0)
    model = NeuMF(NeuMF.Config(dim=4, hidden=(6, 3), pretrain=2), FeatureSchema(32, 17))
    model.observe(interactions)
    query, items = _query(2, 3, 4, 5), torch.tensor([[7, 9]] * 4)
    whole = model.eval().score_each(query, items)
    model.train()
    for _ in range(2):
        apart = model.score_each(query, items)
        (slope,) = torch.autograd.grad(apart.square().sum(), model.user_embedding.weight)
        touched = slope != 0
        assert touched[[2, 4], :4].any() and not touched[[2, 4], 4:].any()
        assert touched[[3, 5], 4:].any() and not touched[[3, 5], :4].any()
    joined = model.score_each(query, items)
    torch.testing.assert_close(joined, whole / 2)
    torch.testing.assert_close(model.score_each(query, items), joined)
    other = NeuMF(model.config, model.schema)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.train().score_each(query, items), joined)


def test_learning_apart_is_refused_where_there_is_one_part():
    with pytest.raises(ConfigError, match="no pretrain"):
        NeuMF.Config.parse({"interaction": "outer", "pretrain": 5})
