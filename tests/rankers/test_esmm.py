"""ESMM: logits of products, exact where probabilities are extreme."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.rows import Rows
from tastemaker.rankers.esmm import ESMM

FIELDS = (FieldSchema("a", "category", 9), FieldSchema("b", "category", 9))


def _ranker(outputs: tuple[str, ...], scale: float = 1.0, **settings: object) -> tuple[ESMM, Rows]:
    torch.manual_seed(0)
    ranker = ESMM(ESMM.Config(dim=4, hidden=(8,), init=1.0, **settings), RowSchema(FIELDS, outputs))
    for tower in ranker.towers.towers:
        torch.nn.init.normal_(tower[-1].weight, std=scale)
    return ranker, Rows(torch.randint(0, 9, (60, 2), dtype=torch.int32), torch.zeros(60, 0), (), ())


def _odds(happens: np.ndarray) -> np.ndarray:
    return np.log(happens / (1 - happens))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_logits_are_the_log_odds_of_products() -> None:
    ranker, rows = _ranker(("click", "cart", "buy"))
    with torch.no_grad():
        factors, found = ranker.factors(rows).double().numpy(), ranker(rows).numpy()
    np.testing.assert_allclose(found, _odds(np.cumprod(_sigmoid(factors), 1)), rtol=1e-4, atol=1e-5)


def test_labels_may_follow_as_they_are_said_to() -> None:
    ranker, rows = _ranker(("buy", "click", "like"), follows=("click", "", "click"))
    with torch.no_grad():
        buy, click, like = _sigmoid(ranker.factors(rows).double().numpy()).T
        found = ranker(rows).numpy()
    np.testing.assert_allclose(found, _odds(np.stack([click * buy, click, click * like], 1)), rtol=1e-4, atol=1e-5)


def test_extreme_probabilities_keep_their_logits_and_gradients() -> None:
    ranker, rows = _ranker(("click", "buy"), scale=30.0)
    factors = ranker.factors(rows)
    assert factors.abs().max() > 50
    found = ranker(rows)
    ones, others = factors.detach().numpy().astype(np.longdouble).T
    failing = np.exp(-ones) / (1 + np.exp(-ones)) + np.exp(-others) / (1 + np.exp(-ones)) / (1 + np.exp(-others))
    wanted = -np.log1p(np.exp(-ones)) - np.log1p(np.exp(-others)) - np.log(failing)
    np.testing.assert_allclose(found[:, 1].detach().numpy(), wanted.astype(np.float64), rtol=1e-4, atol=1e-4)
    found.sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in ranker.parameters() if weight.grad is not None)


def test_what_follows_is_never_likelier() -> None:
    ranker, rows = _ranker(("click", "buy"), scale=5.0)
    with torch.no_grad():
        found = ranker(rows)
    assert (found[:, 1] <= found[:, 0]).all()


@pytest.mark.parametrize(
    ("follows", "told"),
    [
        (("",), "1 names"),
        (("", "view"), "no label 'view'"),
        (("buy", "click"), "no label that follows itself"),
        (("", ""), "a label that follows another"),
    ],
)
def test_what_follows_what_is_checked(follows: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        _ranker(("click", "buy"), follows=follows)


def test_one_label_follows_nothing() -> None:
    with pytest.raises(ConfigError, match="two labels or more for ESMM"):
        _ranker(("click",))
