from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.item_contents import FusionSettings, ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.errors import ConfigError, DataError
from tastemaker.models.base import Query
from tastemaker.models.content_ridge import ContentRidge

from .conftest import ITEMS, USERS


def contents() -> ItemContents:
    rng = np.random.default_rng(0)
    values = {"text": rng.normal(size=(ITEMS, 6)).astype(np.float32), "image": rng.normal(size=(ITEMS, 4)).astype(np.float32)}
    real = np.arange(ITEMS) >= FIRST
    return ItemContents(values, {"text": real, "image": real & (np.arange(ITEMS) % 3 > 0)}, FusionSettings.parse({}))


def model(interactions: Interactions, **settings: object) -> ContentRidge:
    told = contents()
    made = ContentRidge(ContentRidge.Config.parse(settings), FeatureSchema(USERS, ITEMS, told.schema))
    made.observe_contents(told, interactions)
    made.solve(interactions)
    return made


def without(interactions: Interactions, item: int) -> Interactions:
    return interactions.take(interactions.item != item)


def kernel(weights: dict[str, float]) -> np.ndarray:
    told, total = contents(), np.ones((ITEMS, ITEMS))
    for name, values in told.values.items():
        present = told.present[name]
        rows = np.where(present[:, None], values - values[present].mean(0), 0)
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        total += weights.get(name, 1.0) * rows @ rows.T
    return total


def test_the_score_of_a_cold_item_is_each_users_own_ridge_regression(interactions: Interactions) -> None:
    cold = FIRST + 3
    made = model(without(interactions, cold), weights={"image": 0.5}, regularization=0.7)
    history = [FIRST, FIRST + 7, FIRST + 8]
    found = made.score(Query.of(np.array([UNKNOWN]), Histories.of([history])))[0, cold]
    k = kernel({"image": 0.5})
    warm = np.unique(without(interactions, cold).item)
    chosen = np.isin(warm, history).astype(float)
    dual = np.linalg.solve(k[np.ix_(warm, warm)] + 0.7 * np.eye(len(warm)), chosen)
    assert float(found) == pytest.approx(k[cold, warm] @ dual, rel=1e-3, abs=1e-5)


def test_left_out_an_item_with_events_is_scored_as_if_it_had_none(interactions: Interactions) -> None:
    item = FIRST + 3
    asked = Query.of(np.array([UNKNOWN]), Histories.of([[FIRST, FIRST + 7, FIRST + 8]]))
    known = model(interactions, leave_out=True).score(asked)[0, item]
    cold = model(without(interactions, item)).score(asked)[0, item]
    torch.testing.assert_close(known, cold, rtol=1e-3, atol=1e-5)


def test_what_it_cannot_use_is_said(interactions: Interactions) -> None:
    told = ContentRidge(ContentRidge.Config.parse({"weights": {"sound": 1.0}}), FeatureSchema(USERS, ITEMS, contents().schema))
    with pytest.raises(ConfigError, match="weights of sound"):
        told.observe_catalogue(pa.table({}))
    plain = ContentRidge(ContentRidge.Config(), FeatureSchema(USERS, ITEMS))
    with pytest.raises(DataError, match="no columns"):
        plain.observe_catalogue(pa.table({}))
    plain.solve(interactions)
    asked = Query.of(np.array([UNKNOWN]), Histories.of([[FIRST]]))
    assert torch.equal(plain.score(asked)[0], plain.popularity)


def test_a_column_is_a_kernel_of_its_own_beside_those_of_contents(interactions: Interactions) -> None:
    catalogue = pa.table({"kind": (["tea", "cup"] * ITEMS)[: ITEMS - FIRST]})
    told, settings = contents(), ContentRidge.Config.parse({"columns": ["kind"], "weights": {"kind": 3.0}})
    made = ContentRidge(settings, FeatureSchema(USERS, ITEMS, told.schema))
    made.observe_catalogue(catalogue)
    made.observe_contents(told, interactions)
    kinds, real = np.arange(ITEMS) % 2, np.arange(ITEMS) >= FIRST
    expected = 3.0 * ((kinds[:, None] == kinds) & real & real[:, None]) + kernel({}) - 1
    assert made._kernel is not None
    np.testing.assert_allclose(made._kernel, expected, atol=1e-5)
