"""Trade-offs between labels: lists, Pareto-optimal weightings, and a floor whose best answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate.tradeoffs import MOST_POINTS, Side, grid, multiplier, nondominated, trade_offs
from tastemaker.evaluate.tradeoffs_plot import write_tradeoffs

LABELS = ("click", "buy")


def linear(weights: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return probabilities @ weights


def priced(lists: int = 200) -> Side:
    """Lists of one row out of two. The second row of list g brings a purchase where the first brings none, and costs (g + 1) / lists clicks.

    So the most clicks with a share f of purchases come from the second rows of the first f · lists lists.
    """
    cost = np.random.default_rng(0).permutation(np.arange(1, lists + 1)) / lists
    first, second = np.stack([np.ones(lists), np.zeros(lists)], 1), np.stack([1 - cost, np.ones(lists)], 1)
    values = np.stack([first, second], 1).reshape(-1, 2)
    return Side(values, values, np.repeat(np.arange(lists), 2))


def drawn(seed: int, lists: int = 40, each: int = 6) -> Side:
    draw = np.random.default_rng(seed)
    said = draw.uniform(0, [0.6, 0.2], (lists * each, 2))
    return Side(said, (draw.random(said.shape) < said).astype(float), np.repeat(np.arange(lists), each))


def test_a_list_is_the_first_rows_of_each_group_ties_in_the_order_of_rows() -> None:
    side = Side(np.zeros((6, 1)), np.zeros((6, 1)), np.array([7, 3, 7, 3, 7, 3]))
    assert side.listed(np.array([0.1, 0.5, 0.9, 0.5, 0.9, 0.6]), 2).tolist() == [5, 1, 2, 4]
    alone = Side(np.zeros((30, 1)), np.zeros((30, 1)))
    assert alone.listed(np.arange(30.0), None).tolist() == [29, 28, 27]


def test_a_list_gives_the_mean_of_its_known_labels() -> None:
    labels = np.array([[1.0], [np.nan], [0.0], [1.0], [np.nan]])
    side = Side(labels, labels, np.array([0, 0, 0, 1, 2]))
    assert side.of_lists(labels[:, 0], np.arange(5)).tolist() == [0.5, 1.0]
    given = side.given(np.zeros(5), 3)
    assert given.values == (0.75,)


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * 3), min_size=1, max_size=12))
def test_what_is_nondominated_is_what_no_other_beats(points) -> None:  # type: ignore[no-untyped-def]
    found = nondominated(np.array(points))
    for place, one in enumerate(points):
        beaten = any(all(b >= a for a, b in zip(one, other, strict=True)) and other != one for other in points)
        assert found[place] == (not beaten)


@pytest.mark.parametrize("labels", [2, 3, 4, 6])
def test_a_grid_spans_from_one_label_to_the_other(labels: int) -> None:
    found = grid(labels)
    assert len(found) <= MOST_POINTS
    np.testing.assert_allclose(found.sum(1), 1)
    assert {tuple(row) for row in np.eye(labels)} <= {tuple(row) for row in found}


def test_the_ends_give_most_of_their_label_and_all_between_is_a_bargain() -> None:
    found = trade_offs({"validation": priced()}, LABELS, linear, k=1)
    first, last = (point.given["validation"].values for point in (found.points[0], found.points[-1]))
    assert first == (pytest.approx(1 - np.arange(1, 201).mean() / 200), 1.0)
    assert last == (1.0, 0.0)
    assert all(point.best for point in found.points)
    buys = [point.given["validation"].values[1] for point in found.points]
    assert buys == sorted(buys, reverse=True)


def test_a_label_that_another_promotes_leaves_one_weighting_to_choose() -> None:
    said = np.random.default_rng(0).random((400, 1)) * [1.0, 0.5]
    found = trade_offs({"validation": Side(said, said, np.arange(400) // 20)}, LABELS, linear, k=3)
    assert len({point.given["validation"].values for point in found.points if point.best}) == 1


def test_the_first_side_says_what_is_best_and_all_sides_what_it_gives() -> None:
    found = trade_offs({"validation": drawn(0), "test": drawn(1)}, LABELS, linear, k=2)
    assert found.sides == ["validation", "test"]
    best = nondominated(np.array([point.given["validation"].values for point in found.points]))
    assert [point.best for point in found.points] == best.tolist()
    told = found.to_dict()["points"][3]
    low, high = told["test"]["click"]["interval"]
    assert low < told["test"]["click"]["value"] < high
    assert found.__rich__().row_count == 21


@pytest.mark.parametrize("share", [0.1, 0.37, 0.8, 1.0])
def test_a_floor_is_reached_at_the_least_price(share: float) -> None:
    side = priced()
    found = multiplier(side, 0, 1, share, k=1)
    clicks, buys = side.given(linear(np.array([1.0, found]), side.probabilities), 1).values
    taken = round(share * 200)
    assert buys == pytest.approx(taken / 200)
    assert clicks == pytest.approx(1 - np.arange(1, taken + 1).sum() / 200 / 200)
    assert found == pytest.approx(taken / 200, abs=1e-6)  # the price of the last purchase that is wanted


def test_no_floor_costs_nothing_and_one_out_of_reach_is_refused() -> None:
    side = drawn(2)
    assert multiplier(side, 0, 1, 0.0, k=2) == 0.0
    with pytest.raises(ConfigError, match="or less, which lists ordered by that label alone give"):
        multiplier(side, 0, 1, 0.9, k=2)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_left_to_gain_is_less_than_a_row_is_worth(seed: int) -> None:
    side, lists, each, k = drawn(seed), 40, 6, 2
    said, floor = side.probabilities, 0.14
    found = multiplier(side, 0, 1, floor, k=k, observed=False)
    rows = side.listed(linear(np.array([1.0, found]), said), k)
    assert said[rows, 1].mean() >= floor
    of_lists = np.repeat(np.eye(lists), each, axis=1)  # the exact answer, by integer programming
    exact = milp(
        -said[:, 0],
        integrality=np.ones(len(said)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(of_lists, k, k), LinearConstraint(said[:, 1], floor * lists * k, np.inf)],
    )
    assert -exact.fun - 1 < said[rows, 0].sum() <= -exact.fun + 1e-9


def test_a_floor_on_what_came_of_rows_is_kept_where_predictions_are_too_high() -> None:
    side = drawn(5, lists=300)
    bold = Side(side.probabilities * [1, 3], side.labels, side.groups)
    for observed, kept in ((True, True), (False, False)):
        found = multiplier(bold, 0, 1, 0.13, k=2, observed=observed)
        buys = bold.given(linear(np.array([1.0, found]), bold.probabilities), 2).values[1]
        assert (buys >= 0.13) == kept


def test_one_label_or_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="two labels or more"):
        trade_offs({"validation": drawn(0)}, ("click",), linear)
    empty = Side(np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(DataError, match="rows on every side"):
        trade_offs({"validation": drawn(0), "test": empty}, LABELS, linear)


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = trade_offs({"validation": drawn(0), "test": drawn(1)}, LABELS, linear, k=2)
    path = write_tradeoffs(found, tmp_path / "deep" / "plot.svg", title="shop")
    text = path.read_text()
    assert "<!-- click 0, buy 1 -->" in text
    assert "non-dominated" in text
