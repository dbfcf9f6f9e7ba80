from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.ngcf import NGCF
from tastemaker.train.loader import Pairs

from .conftest import ITEMS, USERS


def fresh(interactions: Interactions, **settings: object) -> NGCF:
    torch.manual_seed(0)
    given = {"dim": 5, "layers": 2, "init": 1.0, "similarity": "dot", "dropout": 0.0} | settings
    model = NGCF(NGCF.Config.parse(given), FeatureSchema(USERS, ITEMS))
    model.observe(interactions)
    return model


def definition(model: NGCF, interactions: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Final vectors of users and items: the matrix form of the paper (equation 7), dense."""
    table = np.zeros((USERS, ITEMS))
    table[interactions.user, interactions.item] = 1
    normal = table / np.sqrt(np.maximum(table.sum(1), 1e-12))[:, None] / np.sqrt(np.maximum(table.sum(0), 1e-12))[None, :]
    laplacian = np.block([[np.zeros((USERS, USERS)), normal], [normal.T, np.zeros((ITEMS, ITEMS))]])
    vectors = np.concatenate([model.user_embedding.weight.detach(), model.item_embedding.weight.detach()])
    layers = [vectors]
    for one, other in zip(model.sums, model.products, strict=True):
        first, second = (part.weight.detach().numpy().T for part in (one, other))
        sent = laplacian @ vectors
        mixed = (sent + vectors) @ first + one.bias.detach().numpy() + (sent * vectors) @ second + other.bias.detach().numpy()
        vectors = np.where(mixed > 0, mixed, 0.2 * mixed)
        layers.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    joined = np.concatenate(layers, axis=1)
    return joined[:USERS], joined[USERS:]


def test_scores_are_those_of_the_definition_in_training_and_after(interactions: Interactions) -> None:
    model = fresh(interactions)
    users, items = definition(model, interactions)
    (batch,) = Pairs(interactions).epoch(0, 0, len(interactions))
    trained = model.encode_batch(batch).users @ model.encode_item().T
    np.testing.assert_allclose(trained.detach(), users[batch.query.users] @ items.T, atol=1e-4)
    model.eval()
    model.forget()
    asked = np.unique(interactions.user)
    with torch.no_grad():
        found = model.score(Query.of(asked, interactions.histories(USERS).take(asked)))
    np.testing.assert_allclose(found, users[asked] @ items.T, atol=1e-4)


def test_a_user_with_nothing_gets_the_mean_users_scores(interactions: Interactions) -> None:
    model = fresh(interactions).eval()
    users, items = definition(model, interactions)
    with torch.no_grad():
        found = model.score(Query.of(np.array([1]), Histories.of([[]])))
    np.testing.assert_allclose(found[0], users[np.unique(interactions.user)].mean(0) @ items.T, atol=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_dropout_is_drawn_once_a_step_and_in_training_alone(interactions: Interactions, dropout: float) -> None:
    model = fresh(interactions, dropout=dropout)
    (batch,) = Pairs(interactions).epoch(0, 0, len(interactions))
    first = model.encode_batch(batch).users
    assert torch.equal(model.encode_batch(batch).users, first)
    model.forget()
    assert torch.equal(model.encode_batch(batch).users, first) == (dropout == 0)
