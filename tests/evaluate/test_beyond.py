import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.data.interactions import Histories, Interactions
from tastemaker.evaluate import beyond, metrics


def interactions(user: list[int], item: list[int]) -> Interactions:
    rows = len(user)
    order = np.lexsort([item, user])
    return Interactions(
        np.array(user, np.int32)[order],
        np.array(item, np.int32)[order],
        np.zeros(rows, np.int64),
        np.ones(rows, np.float32),
        np.zeros(rows, np.int8),
        np.full(rows, -1, np.int8),
    )


def test_coverage_counts_each_item_of_the_catalogue_once():
    lists = np.array([[2, 3, 0], [3, 4, 2]])
    assert beyond.coverage(lists, num_items=8) == 3 / 6
    assert beyond.coverage(np.zeros((2, 3), int), num_items=8) == 0


def test_gini_is_0_for_equal_and_nearly_1_for_one_item_taking_all():
    assert beyond.gini(np.array([[2, 3], [4, 5]]), num_items=6) == 0
    assert beyond.gini(np.full((9, 1), 3), num_items=12) == pytest.approx(1 - 1 / 10)
    assert np.isnan(beyond.gini(np.zeros((2, 2), int), num_items=6))


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_gini_is_half_the_relative_mean_difference(seed):
    lists = np.random.default_rng(seed).integers(2, 12, (6, 3))
    exposure = np.bincount(lists.ravel(), minlength=12)[2:]
    expected = np.abs(exposure[:, None] - exposure[None]).mean() / (2 * exposure.mean())
    assert beyond.gini(lists, num_items=12) == pytest.approx(expected)


def test_novelty_is_in_bits_of_the_items_share():
    counts = np.array([0, 0, 4, 2, 2, 0])
    assert beyond.novelty(np.array([[2, 0]]), counts) == 1
    assert beyond.novelty(np.array([[2, 3], [5, 0]]), counts) == pytest.approx(((1 + 2) / 2 + 3) / 2)


def test_rarer_items_are_more_novel_and_less_popular():
    counts = np.array([0, 0, 100, 10, 1])
    lists = [np.array([[code]]) for code in (2, 3, 4)]
    assert np.all(np.diff([beyond.novelty(x, counts) for x in lists]) > 0)
    assert [beyond.average_popularity(x, counts) for x in lists] == [100, 10, 1]


def test_popularity_lift_is_0_for_lists_like_the_histories_and_1_for_twice_as_popular():
    counts = np.array([0, 0, 10, 20, 40])
    histories = Histories.of([[2, 3], [], [3]])
    assert beyond.popularity_lift(np.array([[2, 3], [4, 0], [3, 0]]), counts, histories) == 0
    assert beyond.popularity_lift(np.array([[4, 0], [2, 0], [3, 0]]), counts, Histories.of([[3], [], [2]])) == 1
    assert np.isnan(beyond.popularity_lift(np.array([[2]]), counts, Histories.of([[]])))


def test_cold_share_is_a_share_of_places():
    counts = np.array([0, 0, 5, 0, 0])
    assert beyond.cold_share(np.array([[2, 3], [4, 0]]), counts) == pytest.approx(2 / 3)


def test_popularity_is_never_serendipitous_and_a_relevant_tail_item_is():
    counts = np.array([0, 0, 9, 8, 8, 1, 1])
    popular, tail = np.array([[2, 3]]), np.array([[4, 5]])
    everything = np.ones((1, 2), bool)
    assert beyond.serendipity(popular, everything, counts) == 0
    assert beyond.serendipity(tail, everything, counts) == 1
    assert beyond.serendipity(tail, np.array([[True, False]]), counts) == 0.5
    # having seen 2, this user's popularity list is 3, 4: only 5 is a surprise
    assert beyond.serendipity(tail, everything, counts, Histories.of([[2, 2]])) == 0.5


@given(seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_popularity_lists_equal_the_definition(seed):
    rng = np.random.default_rng(seed)
    counts = np.concatenate([[7, 7], rng.integers(0, 4, 10)])
    histories = Histories.of([rng.integers(2, 12, rng.integers(0, 6)) for _ in range(5)])
    lists = np.stack([rng.permutation(np.arange(2, 12))[:4] for _ in range(5)])
    order = 2 + np.argsort(-counts[2:], kind="stable")
    expected = 0
    for row, line in enumerate(lists):
        popular = [code for code in order if code not in histories.row(row)][:4]
        unseen = ~np.isin(line, histories.row(row))
        lists[row] = np.where(unseen, line, 0)
        expected += int((unseen & ~np.isin(line, popular)).sum())
    assert beyond.serendipity(lists, lists != 0, counts, histories) == pytest.approx(expected / lists.size)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_diversity_equals_the_mean_over_pairs_dense_or_sparse(seed):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(9, 4))
    vectors[5] = 0
    lists = np.stack([rng.permutation(np.arange(2, 9))[:4] for _ in range(6)])
    lists[0, 2:] = 0
    lists[1, 1:] = 0  # one item: no pair, left out
    expected = []
    for line in lists:
        unit = [v / np.linalg.norm(v) if v.any() else v for v in vectors[line[line > 0]]]
        pairs = [1 - unit[i] @ unit[j] for i in range(len(unit)) for j in range(i)]
        if pairs:
            expected.append(np.mean(pairs))
    assert beyond.diversity(lists, vectors) == pytest.approx(np.mean(expected))
    assert beyond.diversity(lists, beyond.sp.csr_matrix(vectors)) == pytest.approx(np.mean(expected))


def test_folded_co_occurrence_keeps_cosines():
    rng = np.random.default_rng(0)
    users, items = 3000, 12
    taken = rng.random((users, items)) < np.linspace(0.02, 0.5, items)
    taken[:, 1] |= taken[:, 0] & (rng.random(users) < 0.8)
    user, item = np.nonzero(taken)
    train = interactions((user + 2).tolist(), (item + 2).tolist())
    exact = taken.astype(float) / np.linalg.norm(taken, axis=0)
    lists = np.stack([rng.permutation(np.arange(2, items + 2))[:5] for _ in range(200)])
    whole = np.concatenate([np.zeros((2, users)), exact.T])
    folded = [beyond.co_occurrence(train, items + 2, np.random.default_rng(seed)) for seed in range(30)]
    assert folded[0].shape == (items + 2, 512)
    errors = np.array([beyond.diversity(lists, vectors) for vectors in folded]) - beyond.diversity(lists, whole)
    assert np.abs(errors).max() < 3 / np.sqrt(512)
    assert abs(errors.mean()) < 0.01


def test_repeated_interactions_do_not_change_co_occurrence():
    once = beyond.co_occurrence(interactions([2, 3], [2, 2]), 4, np.random.default_rng(0), dim=8)
    twice = beyond.co_occurrence(interactions([2, 2, 3], [2, 2, 2]), 4, np.random.default_rng(0), dim=8)
    assert (once != twice).nnz == 0


def test_serendipity_is_at_most_precision():
    rng = np.random.default_rng(0)
    lists = np.stack([rng.permutation(np.arange(2, 20))[:5] for _ in range(50)])
    hits = rng.random(lists.shape) < 0.3
    counts = rng.integers(0, 9, 20)
    assert 0 < beyond.serendipity(lists, hits, counts) <= metrics.precision(hits, np.full(50, 9)).mean()
