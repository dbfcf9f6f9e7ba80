from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.lightgcn import LightGCN
from tastemaker.train.config import TrainConfig
from tastemaker.train.loader import Baskets, Pairs
from tastemaker.train.trainer import train

from .conftest import ITEMS, USERS


def fresh(interactions: Interactions, **settings: object) -> LightGCN:
    torch.manual_seed(0)
    model = LightGCN(LightGCN.Config.parse({"dim": 6, "similarity": "dot"} | settings), FeatureSchema(USERS, ITEMS))
    model.observe(interactions)
    return model


def definition(model: LightGCN, interactions: Interactions, layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Final vectors of users and items, edge by edge (equations 3 and 4 of the paper)."""
    edges = sorted(set(zip(interactions.user.tolist(), interactions.item.tolist(), strict=True)))
    of_user, of_item = (np.bincount([edge[side] for edge in edges], minlength=size) for side, size in ((0, USERS), (1, ITEMS)))
    users = model.walker.user_embedding.weight.detach().numpy().astype(np.float64)
    items = model.walker.item_embedding.weight.detach().numpy().astype(np.float64)
    sums = users.copy(), items.copy()
    for _ in range(layers):
        next_users, next_items = np.zeros_like(users), np.zeros_like(items)
        for user, item in edges:
            weight = 1 / np.sqrt(of_user[user] * of_item[item])
            next_users[user] += weight * items[item]
            next_items[item] += weight * users[user]
        users, items = next_users, next_items
        sums = sums[0] + users, sums[1] + items
    return sums[0] / (layers + 1), sums[1] / (layers + 1)


@pytest.mark.parametrize("layers", [1, 3])
def test_scores_are_those_of_the_definition_in_training_and_after(interactions: Interactions, layers: int) -> None:
    model = fresh(interactions, layers=layers)
    users, items = definition(model, interactions, layers)
    (batch,) = Pairs(interactions).epoch(0, 0, len(interactions))
    trained = model.encode_batch(batch).users @ model.encode_item().T
    np.testing.assert_allclose(trained.detach(), users[batch.query.users] @ items.T, atol=1e-5)
    model.eval()
    asked = np.unique(interactions.user)
    found = model.score(Query.of(asked, interactions.histories(USERS).take(asked)))
    np.testing.assert_allclose(found, users[asked] @ items.T, atol=1e-5)


def test_cosines_over_the_temperature_are_what_is_scored(interactions: Interactions) -> None:
    model = fresh(interactions, similarity="cosine", temperature=0.2).eval()
    users, items = definition(model, interactions, 3)
    asked = np.unique(interactions.user)
    found = model.score(Query.of(asked, interactions.histories(USERS).take(asked)))
    norms = np.linalg.norm(users[asked], axis=1)[:, None] * np.linalg.norm(items, axis=1)
    np.testing.assert_allclose(found, users[asked] @ items.T / norms / 0.2, atol=1e-4)


def test_the_penalty_is_half_the_squared_first_embeddings_of_a_target(interactions: Interactions) -> None:
    model = fresh(interactions, regularization=0.5)
    users, items = model.walker.user_embedding.weight.detach(), model.walker.item_embedding.weight.detach()
    expected = 0.25 * float(
        (users[interactions.user].square().sum() + items[interactions.item].square().sum()) / len(interactions)
    )
    for loader in (Pairs(interactions), Baskets(interactions, USERS)):
        (batch,) = loader.epoch(0, 0, len(interactions))
        assert float(model.encode_batch(batch).penalty.detach()) == pytest.approx(expected, rel=1e-5)


def test_a_step_changes_embeddings_beyond_the_batch_and_the_next_one_sees_it(interactions: Interactions) -> None:
    """Gradients flow over the graph, and what was kept for a step goes with it."""
    model = fresh(interactions)
    rows = interactions.take(np.arange(len(interactions)) < 1)
    (batch,) = Pairs(rows).epoch(0, 0, 1)
    before = model.encode_item(batch.targets)
    (model.encode_batch(batch).users * before).sum().backward()
    assert int((model.walker.user_embedding.weight.grad.abs().sum(1) > 0).sum()) > 3
    with torch.no_grad():
        model.walker.item_embedding.weight += 1.0
    assert torch.equal(model.encode_item(batch.targets), before)
    model.forget()
    assert not torch.allclose(model.encode_item(batch.targets), before)


def test_what_a_user_did_since_training_moves_the_vector(interactions: Interactions) -> None:
    model = fresh(interactions).eval()
    history = interactions.histories(USERS).row(5).tolist()
    new = next(item for item in set(interactions.item.tolist()) if item not in history)
    before, after = model.encode_user(Query.of(np.array([5, 5]), Histories.of([history, [*history, new]])))
    assert not torch.allclose(before, after, atol=1e-3)


def test_asking_in_between_changes_nothing_in_training(interactions: Interactions) -> None:
    """Tables made while asked, even in inference mode, are not what the next step learns from."""
    config = TrainConfig(epochs=3, batch_targets=64, device="cpu", threads=1)

    def ask(model: LightGCN) -> float:
        with torch.inference_mode():
            return float(model.score(Query.of(np.array([2]), Histories.of([[3]]))).sum())

    trained = [fresh(interactions, similarity="cosine") for _ in range(2)]
    ask(trained[1].eval())
    list(train(trained[0], interactions, config))
    rounds = iter(range(9))
    list(train(trained[1], interactions, config, validate=lambda model: next(rounds) + 0 * ask(model)))
    one, other = (model.state_dict() for model in trained)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_softmax_has_cosines_and_no_penalty_and_bpr_what_the_paper_has(interactions: Interactions) -> None:
    assert LightGCN.adapt(LightGCN.Config(), interactions, None).similarity == "cosine"
    assert LightGCN.adapt(LightGCN.Config(), interactions, "softmax").regularization == 0
    paper = LightGCN.adapt(LightGCN.Config(), interactions, "bpr")
    assert (paper.similarity, paper.regularization) == ("dot", 1e-4)
    assert LightGCN.adapt(LightGCN.Config(regularization=0.1), interactions, None).regularization == 0.1
