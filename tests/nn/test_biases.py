"""Biases are the ridge regression of the ratings; apart from a rating they are what the others say."""

from __future__ import annotations

import numpy as np
import torch

from tastemaker.nn.biases import Biases

from .test_documents import rows_of

PAIRS = [(2, 2), (2, 3), (2, 4), (3, 2), (3, 4), (4, 2), (5, 3)]
VALUES = [5.0, 3.0, 1.0, 4.0, 2.0, 5.0, 3.0]


def observed() -> Biases:
    made = Biases(7, 6, 2.0, 0.5)
    made.observe(rows_of([(u, i, "") for u, i in PAIRS], VALUES))
    return made


def test_they_solve_the_ridge_regression() -> None:
    made = observed()
    rows = np.zeros((7, 13))
    for place, (u, i) in enumerate(PAIRS):
        rows[place, u] = rows[place, 7 + i] = 1
    ridge = np.diag([2.0] * 7 + [0.5] * 6)
    solved = np.linalg.solve(rows.T @ rows + ridge, rows.T @ (np.array(VALUES) - np.mean(VALUES)))
    np.testing.assert_allclose(made.user, solved[:7], atol=1e-4)
    np.testing.assert_allclose(made.item, solved[7:], atol=1e-4)
    assert (float(made.low), float(made.high)) == (1, 5)


def test_apart_from_a_rating_a_bias_is_what_the_other_ratings_say() -> None:
    made = observed()
    users, items = (torch.tensor(codes) for codes in zip(*PAIRS, strict=True))
    usual, bias = made.apart(users, items, torch.tensor(VALUES))
    mean = float(made.mean)
    for place, (u, i) in enumerate(PAIRS):
        rest = [(v, p) for other, (p, v) in enumerate(zip(PAIRS, VALUES, strict=True)) if other != place]
        mine = [v - mean - float(made.item[p[1]]) for v, p in rest if p[0] == u]
        others = [v - mean - float(made.user[p[0]]) for v, p in rest if p[1] == i]
        np.testing.assert_allclose(float(usual[place]) - mean, sum(mine) / (len(mine) + 2.0), atol=1e-4)
        np.testing.assert_allclose(float(bias[place]), sum(others) / (len(others) + 0.5), atol=1e-4)


def test_a_stranger_gets_the_bias_of_the_own_history() -> None:
    made = observed()
    users, rows = torch.tensor([1, 2, 6]), torch.tensor([0, 0, 2])
    found = made.of_users(users, rows, torch.tensor([2, 4, 3]), torch.tensor([4.0, 4.0, 1.0]))
    left = [4 - float(made.mean + made.item[item]) for item in (2, 4)]
    expected = [sum(left) / 4, float(made.user[2]), (1 - float(made.mean + made.item[3])) / 3]
    np.testing.assert_allclose(found - made.mean, expected, atol=1e-5)
