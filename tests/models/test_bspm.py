from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.bspm import BSPM
from tastemaker.models.gfcf import GFCF

from .conftest import ITEMS, USERS


def solved(interactions: Interactions, **settings: object) -> BSPM:
    model = BSPM(BSPM.Config.parse({"factors": 4} | settings), FeatureSchema(USERS, ITEMS))
    model.solve(interactions)
    return model


def everybody(interactions: Interactions) -> Query:
    return Query.of(np.arange(2, USERS - 2), interactions.histories(USERS).take(np.arange(2, USERS - 2)))


def smoothing(interactions: Interactions) -> np.ndarray:
    table = np.zeros((USERS, ITEMS))
    table[interactions.user, interactions.item] = 1
    normal = table / np.sqrt(np.maximum(table.sum(1), 1e-12))[:, None] / np.sqrt(np.maximum(table.sum(0), 1e-12))[None, :]
    return normal.T @ normal


def test_without_sharpening_it_is_gfcf(interactions: Interactions) -> None:
    gfcf = GFCF(GFCF.Config(factors=4, alpha=0.2), FeatureSchema(USERS, ITEMS))
    gfcf.solve(interactions)
    asked = everybody(interactions)
    torch.testing.assert_close(solved(interactions, sharpening_time=0.0).score(asked), gfcf.score(asked))


def test_many_small_steps_are_the_exact_solution_of_the_equation(interactions: Interactions) -> None:
    asked, smooth = everybody(interactions), smoothing(interactions)
    blurred = solved(interactions, sharpening_time=0.0).score(asked).double().numpy()
    exact = np.stack(
        [solve_ivp(lambda _, state: -state @ smooth, (0, 2.5), row, rtol=1e-8, atol=1e-10).y[:, -1] for row in blurred]
    )
    found = solved(interactions, sharpening_steps=8).score(asked)
    np.testing.assert_allclose(found, exact, atol=1e-3)
    rough = solved(interactions, sharpening_steps=8, solver="euler").score(asked)
    assert np.abs(rough.numpy() - exact).max() > np.abs(found.numpy() - exact).max()


@pytest.mark.parametrize("solver", ["euler", "rk4"])
def test_a_step_is_a_step_of_the_solver_by_its_definition(interactions: Interactions, solver: str) -> None:
    asked, smooth, step = everybody(interactions), smoothing(interactions), 1.5
    state = solved(interactions, sharpening_time=0.0).score(asked).double().numpy()
    slope = lambda at: -at @ smooth
    one = slope(state)
    two = slope(state + step / 2 * one)
    three = slope(state + step / 2 * two)
    four = slope(state + step * three)
    expected = state + step * (one if solver == "euler" else (one + 2 * two + 2 * three + four) / 6)
    found = solved(interactions, sharpening_time=step, solver=solver).score(asked)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_missing_event_lowers_the_score_by_its_contribution(interactions: Interactions) -> None:
    model = solved(interactions)
    full, less = (model.score(Query.of(np.array([1]), Histories.of([row]))) for row in ([3, 5, 9], [3, 9]))
    parts = model.contributions(Query.of(np.array([1]), Histories.of([[3, 5, 9]])), torch.tensor([7]))
    assert float(full[0, 7] - less[0, 7]) == pytest.approx(float(parts[1]), rel=1e-3)
