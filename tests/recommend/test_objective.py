"""Objectives: several probabilities, one order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.errors import ConfigError, DataError
from tastemaker.recommend.objective import Objective

LABELS = ("click", "buy")
ROWS = np.array([[0.5, 0.02], [0.2, 0.1], [0.9, 0.0], [0.1, 0.1]])


def order(objective: Objective, rows: np.ndarray = ROWS) -> list[int]:
    return np.argsort(-objective.score(rows, LABELS), kind="stable").tolist()


def test_a_sum_is_what_the_labels_are_worth() -> None:
    found = Objective(weights={"click": 1, "buy": 4}).score(ROWS, LABELS)
    np.testing.assert_allclose(found, [0.58, 0.6, 0.9, 0.5])
    assert order(Objective(weights={"buy": 1})) == [1, 3, 0, 2]


def test_a_product_does_not_mind_scales() -> None:
    product = Objective(weights={"click": 1, "buy": 1}, combine="product")
    np.testing.assert_allclose(np.exp(product.score(ROWS[:2], LABELS)), ROWS[:2].prod(1))
    assert order(product) == order(product, ROWS * [1, 0.1])
    assert order(product)[-1] == 2  # a probability of 0 is last, and the others are still told apart


def test_weights_below_zero_put_back_what_is_likely_to_annoy() -> None:
    assert order(Objective(weights={"click": 1, "buy": -3}))[0] == 2


@pytest.mark.parametrize("combine", ["sum", "product"])
def test_rows_below_a_floor_come_last_in_their_order(combine: str) -> None:
    objective = Objective.parse({"weights": {"click": 1}, "combine": combine, "floors": {"buy": 0.05}})
    assert order(objective) == [1, 3, 2, 0]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8),
    st.floats(-5, 5),
    st.floats(0, 1),
    st.sampled_from(["sum", "product"]),
)
def test_no_row_below_a_floor_is_before_one_that_reaches_it(rows, weight, floor, combine) -> None:  # type: ignore[no-untyped-def]
    rows = np.array(rows)
    found = Objective.parse({"weights": {"click": 1, "buy": weight}, "combine": combine, "floors": {"buy": floor}}).score(
        rows, LABELS
    )
    below = rows[:, 1] < floor
    assert np.isfinite(found).all()
    if below.any() and not below.all():
        assert found[below].max() < found[~below].min()


def test_no_rows_have_no_scores() -> None:
    assert Objective(weights={"click": 1}).score(np.zeros((0, 2)), LABELS).shape == (0,)


def test_a_text_of_weights_is_read() -> None:
    assert Objective.of("click=1, buy=4.5") == Objective(weights={"click": 1, "buy": 4.5})
    for wrong in ("click", "click=much", "=1", ""):
        with pytest.raises(ConfigError, match="weights such as"):
            Objective.of(wrong)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"weights": {}}, "objectives.home.weights"),
        ({"weights": {"click": 0}}, "other than 0"),
        ({"weights": {"click": float("nan")}}, "finite weights"),
        ({"weights": {"click": 1}, "floors": {"buy": 2}}, "a floor in 0…1"),
        ({"weights": {"click": 1}, "combin": "sum"}, "did you mean 'combine'"),
    ],
)
def test_an_objective_that_cannot_be_is_refused(values: dict, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=said):
        Objective.parse(values, "objectives.home")


def test_labels_and_numbers_are_checked() -> None:
    with pytest.raises(ConfigError, match="expected one of click, buy; found an objective of 'cart'"):
        Objective(weights={"cart": 1}).score(ROWS, LABELS)
    with pytest.raises(DataError, match=r"\(rows, 2\)"):
        Objective(weights={"buy": 1}).score(ROWS[:, :1], LABELS)
    with pytest.raises(DataError, match="in row 1"):
        Objective(weights={"buy": 1}).score(np.array([[0.1, 0.1], [0.1, 1.2]]), LABELS)
