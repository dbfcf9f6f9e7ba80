import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.errors import DataError, TrainingError
from tastemaker.index.exact import search, top_k


def oracle(scores: np.ndarray, k: int, bans: set[tuple[int, int]] = frozenset()) -> tuple[np.ndarray, np.ndarray]:
    scores = scores.astype(np.float32).copy()
    scores[:, :2] = -np.inf
    for row, code in bans:
        scores[row, code] = -np.inf
    codes = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(scores, codes, axis=1)
    missing = ((0, 0), (0, max(0, k - scores.shape[1])))
    codes, values = np.pad(codes, missing), np.pad(values, missing, constant_values=-np.inf)
    return values, np.where(values > -np.inf, codes, 0)


def bans_of(
    rng: np.random.Generator, rows: int, items: int, count: int
) -> tuple[torch.Tensor, torch.Tensor, set[tuple[int, int]]]:
    at = np.stack([rng.integers(0, rows, count), rng.integers(0, items, count)])
    return torch.from_numpy(at[0]), torch.from_numpy(at[1]), set(zip(*at.tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(1, 5),
    items=st.integers(3, 1500),
    k=st.integers(1, 25),
    levels=st.integers(1, 40),
    banned=st.integers(0, 200),
)
def test_equals_a_stable_sort_with_many_ties(seed, rows, items, k, levels, banned):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels, (rows, items)).astype(np.float32) / 3
    scores[rng.random(scores.shape) < 0.1] = -0.0
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    ban_rows, ban_codes, bans = bans_of(rng, rows, items, banned)
    values, codes = top_k(torch.from_numpy(scores), k, ban_rows, ban_codes)
    expected_values, expected_codes = oracle(scores, k, bans)
    np.testing.assert_array_equal(codes.numpy(), expected_codes)
    np.testing.assert_array_equal(values.numpy(), expected_values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_give_the_same_order(dtype):
    scores = torch.randn(4, 5000, generator=torch.Generator().manual_seed(0)).to(dtype)
    _, codes = top_k(scores, 20)
    np.testing.assert_array_equal(codes.numpy(), oracle(scores.float().numpy(), 20)[1])


def test_a_constant_scorer_gets_the_lowest_codes():
    _, codes = top_k(torch.zeros(3, 9000), 10)
    assert codes.tolist() == [list(range(2, 12))] * 3


def test_extreme_scores_keep_their_order():
    scores = torch.zeros(1, 4000)
    scores[0, [7, 900, 3999]] = torch.tensor([3.4e38, torch.inf, 1e-45])
    _, codes = top_k(scores, 4)
    assert codes.tolist() == [[900, 7, 3999, 2]]


def test_pad_and_unknown_are_never_returned_whatever_they_hold():
    scores = torch.zeros(2, 6)
    scores[:, 0], scores[:, 1] = torch.nan, torch.inf
    values, codes = top_k(scores, 5)
    assert codes.tolist() == [[2, 3, 4, 5, 0]] * 2
    assert values[:, 4].tolist() == [-torch.inf] * 2


def test_the_scores_are_as_before_afterwards():
    scores = torch.randn(3, 3000)
    scores[0, 0] = torch.nan
    before = scores.clone()
    bans = torch.tensor([0, 0, 2]), torch.tensor([5, 5, 17])
    top_k(scores, 4, *bans)
    assert torch.equal(scores.nan_to_num(7), before.nan_to_num(7))
    scores[1, 9] = torch.nan
    with pytest.raises(TrainingError):
        top_k(scores, 4, *bans)
    assert torch.equal(scores[0, 1:], before[0, 1:])


def test_scores_that_share_memory_or_come_from_inference_mode_are_served():
    row = torch.randn(3000)
    _, codes = top_k(row.expand(2, -1), 3, torch.tensor([0]), torch.tensor([int(row[2:].argmax()) + 2]))
    assert codes[0, 0] == codes[1, 1]
    with torch.inference_mode():
        made = torch.randn(2, 3000)
        expected = top_k(made, 5)[1].tolist()
    assert top_k(made, 5)[1].tolist() == expected
    assert top_k(torch.randn(2, 3000, requires_grad=True) * 2, 5)[1].shape == (2, 5)


@pytest.mark.parametrize("items", [10, 5000])
def test_nan_is_an_error_unless_banned(items):
    scores = torch.zeros(2, items)
    scores[1, 5] = torch.nan
    with pytest.raises(TrainingError, match=r"NaN among the scores of 1 of 2 rows.*hint"):
        top_k(scores, 3)
    _, codes = top_k(scores, 3, torch.tensor([1]), torch.tensor([5]))
    assert codes.tolist() == [[2, 3, 4]] * 2


@pytest.mark.parametrize(
    "arguments",
    [
        (torch.zeros(2, 9), 0),
        (torch.zeros(9), 1),
        (torch.zeros(2, 2), 1),
        (torch.zeros(2, 9), 1, torch.tensor([0])),
        (torch.zeros(2, 9), 1, torch.tensor([0]), torch.tensor([9])),
        (torch.zeros(2, 9), 1, torch.tensor([2]), torch.tensor([3])),
        (torch.zeros(2, 9), 1, torch.tensor([0, 1]), torch.tensor([3])),
    ],
)
def test_what_does_not_fit_is_a_typed_error(arguments):
    with pytest.raises(DataError, match="expected"):
        top_k(*arguments)


@pytest.mark.parametrize(("users_at_once", "items_at_once"), [(1, 7), (3, 64), (4, 1000), (256, 65_536)])
def test_search_does_not_depend_on_how_it_is_cut(users_at_once, items_at_once):
    rng = np.random.default_rng(3)
    users = rng.integers(-2, 3, (9, 3)).astype(np.float32)  # small integers: exact products and many ties
    items = rng.integers(-2, 3, (700, 3)).astype(np.float32)
    ban_rows, ban_codes, bans = bans_of(rng, 9, 700, 300)
    values, codes = search(
        torch.from_numpy(users),
        torch.from_numpy(items),
        12,
        ban_rows,
        ban_codes,
        users_at_once=users_at_once,
        items_at_once=items_at_once,
    )
    expected_values, expected_codes = oracle(users @ items.T, 12, bans)
    np.testing.assert_array_equal(codes.numpy(), expected_codes)
    np.testing.assert_array_equal(values.numpy(), expected_values)


def test_search_fills_up_short_lists_and_refuses_foreign_vectors():
    values, codes = search(torch.ones(1, 2), torch.ones(4, 2), 5)
    assert codes.tolist() == [[2, 3, 0, 0, 0]]
    assert values[0, 2:].tolist() == [-torch.inf] * 3
    with pytest.raises(DataError, match="dim"):
        search(torch.ones(1, 2), torch.ones(4, 3), 5)
    assert search(torch.ones(0, 2), torch.ones(4, 2), 5)[1].shape == (0, 5)
