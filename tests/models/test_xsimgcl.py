from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import ConfigError
from tastemaker.models.base import Batch, Query
from tastemaker.models.xsimgcl import XSimGCL
from tastemaker.train.loader import Baskets, Pairs

from .conftest import ITEMS, USERS


def fresh(interactions: Interactions, **settings: object) -> XSimGCL:
    torch.manual_seed(0)
    model = XSimGCL(XSimGCL.Config.parse({"dim": 6, "similarity": "dot"} | settings), FeatureSchema(USERS, ITEMS))
    model.observe(interactions)
    return model


def whole(interactions: Interactions) -> Batch:
    (batch,) = Pairs(interactions).epoch(0, 0, len(interactions))
    return batch


def layers_of(model: XSimGCL, interactions: Interactions) -> list[np.ndarray]:
    """Layers of users and items, one above the other, by dense products and without noise."""
    table = np.zeros((USERS, ITEMS))
    table[interactions.user, interactions.item] = 1
    normal = table / np.sqrt(np.maximum(table.sum(1), 1e-12))[:, None] / np.sqrt(np.maximum(table.sum(0), 1e-12))[None, :]
    adjacency = np.block([[np.zeros((USERS, USERS)), normal], [normal.T, np.zeros((ITEMS, ITEMS))]])
    layers = [np.concatenate([model.walker.user_embedding.weight.detach(), model.walker.item_embedding.weight.detach()])]
    for _ in range(model.config.layers):
        layers.append(adjacency @ layers[-1])
    return layers


def test_after_training_vectors_are_means_of_all_layers_but_the_first(interactions: Interactions) -> None:
    model = fresh(interactions, layers=3).eval()
    users, items = np.split(np.mean(layers_of(model, interactions)[1:], axis=0), [USERS])
    asked = np.unique(interactions.user)
    found = model.score(Query.of(asked, interactions.histories(USERS).take(asked)))
    np.testing.assert_allclose(found, users[asked] @ items.T, atol=1e-5)


def test_the_penalty_is_the_contrast_of_the_definition(interactions: Interactions) -> None:
    model = fresh(interactions, noise=0.0, contrast=0.3, contrast_layer=1, contrast_temperature=0.5)
    layers = layers_of(model, interactions)
    expected = 0.0
    mean, layer = np.mean(layers[1:], axis=0), layers[1]
    for codes in (np.unique(interactions.user), USERS + np.unique(interactions.item)):
        one, other = (view[codes] / np.linalg.norm(view[codes], axis=1, keepdims=True) for view in (mean, layer))
        for row in range(len(codes)):
            scores = np.exp(one[row] @ other.T / 0.5)
            expected += -np.log(scores[row] / scores.sum()) / len(codes)
    for loader in (Pairs(interactions), Baskets(interactions, USERS)):
        (batch,) = loader.epoch(0, 0, len(interactions))
        assert float(model.encode_batch(batch).penalty.detach()) == pytest.approx(0.3 * expected, rel=1e-4)


def test_noise_has_its_length_and_stays_in_the_orthant_of_the_vector(interactions: Interactions) -> None:
    model = fresh(interactions, noise=0.25)
    vectors = torch.randn(50, 6)
    moved = model._disturbed(vectors)
    torch.testing.assert_close((moved - vectors).norm(dim=1), torch.full((50,), 0.25))
    assert bool((moved.abs() >= vectors.abs()).all())


def test_noise_is_for_training_alone(interactions: Interactions) -> None:
    model, batch = fresh(interactions, noise=0.25), whole(interactions)
    first = model.encode_batch(batch).users
    assert torch.equal(model.encode_batch(batch).users, first)  # one walk a step
    model.forget()
    assert not torch.allclose(model.encode_batch(batch).users, first)
    model.eval()
    model.forget()
    asked = Query.of(np.arange(2, 9), interactions.histories(USERS).take(np.arange(2, 9)))
    before = model.score(asked)
    model.forget()
    assert torch.equal(model.score(asked), before)


def test_no_more_are_contrasted_than_asked_for(interactions: Interactions) -> None:
    """With two rows and equal views the contrast is at most log 2 for users and for items."""
    batch = whole(interactions)
    few, all_ = (
        float(fresh(interactions, noise=0.0, contrast=1.0, contrasted=most, layers=1).encode_batch(batch).penalty.detach())
        for most in (2, 500)
    )
    assert few <= 2 * np.log(2)
    assert all_ > few


def test_only_a_layer_there_is_can_be_contrasted() -> None:
    with pytest.raises(ConfigError, match="contrast_layer up to layers = 2"):
        XSimGCL.Config.parse({"layers": 2, "contrast_layer": 3})
