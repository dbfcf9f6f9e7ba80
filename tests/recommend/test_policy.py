from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.recommend.filters import Columns, Labels
from tastemaker.recommend.policy import boosted, dpp, max_per, mmr, pins, rotated

floats = st.floats(-50, 50, width=32)
seeds = st.integers(0, 10_000)
weights = st.floats(0, 1)


def ragged(rows: list[set[int]]) -> Labels:
    return Labels(np.cumsum([0, *map(len, rows)]), np.array([label for row in rows for label in sorted(row)], np.int64))


def pool(seed: int, size: int = 12, dim: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.sort(rng.normal(size=size))[::-1], rng.normal(size=(size, dim))


def likeness(vectors: np.ndarray) -> np.ndarray:
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units @ units.T


def mean_likeness(vectors: np.ndarray) -> float:
    return float(likeness(vectors)[np.triu_indices(len(vectors), 1)].mean())


@given(st.lists(floats, min_size=1, max_size=20), st.floats(1, 1000), st.floats(1, 1000), st.floats(0.01, 10), st.data())
def test_a_larger_boost_never_lowers_and_leaves_others_alone(scores, weight, more, spread, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))))
    scores = np.array(scores, np.float32)
    low = boosted(scores, [mask], [weight], spread)
    high = boosted(scores, [mask], [weight * more], spread)
    assert (low[~mask] == scores[~mask]).all()
    assert (high[~mask] == scores[~mask]).all()
    assert (low >= scores).all()
    assert (high >= low).all()
    assert (boosted(scores, [mask], [1 / weight], spread) <= scores).all()


@given(st.lists(floats, min_size=1, max_size=20))
def test_a_boost_of_one_changes_nothing(scores):
    scores = np.array([*scores, -np.inf], np.float32)
    assert (boosted(scores, [np.ones(len(scores), bool)], [1.0], 3.0) == scores).all()


def test_a_boosted_item_is_weight_times_as_likely():
    logits = np.log(np.array([0.2, 0.3, 0.5], np.float32))
    odds = np.exp(boosted(logits, [np.array([True, False, False]), np.array([True, True, False])], [2.0, 3.0]))
    assert odds == pytest.approx([0.2 * 6, 0.3 * 3, 0.5])
    rows = boosted(np.zeros((2, 1), np.float32), [np.array([True])], [np.e], np.array([[1.0], [2.0]]))
    assert rows.ravel() == pytest.approx([1, 2])
    assert rows.dtype == np.float32


_labels = st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=1, max_size=15)


@given(_labels, st.integers(1, 3), _labels, st.integers(1, 3), st.integers(0, 15), st.randoms())
def test_caps_hold_and_whatever_fits_stays(first, first_cap, second, second_cap, limit, random):
    count = min(len(first), len(second))
    codes = np.array(random.sample(range(count), count))
    caps = [(first, first_cap), (second, second_cap)]
    kept = max_per(codes, [(ragged(rows), cap) for rows, cap in caps], limit).tolist()
    assert kept == sorted(set(kept))
    assert len(kept) <= limit

    def fits(places: list[int]) -> bool:
        return all(
            sum(label in rows[codes[place]] for place in places) <= cap for rows, cap in caps for label in set().union(*rows)
        )

    assert fits(kept)
    last = kept[-1] if len(kept) == limit and kept else count if limit else 0
    for place in set(range(last)) - set(kept):
        assert not fits([*[before for before in kept if before < place], place])


def test_caps_work_on_the_columns_of_a_catalogue():
    columns = Columns.of([{"categories": ["a", "b"]}, {"categories": ["a"]}, {"categories": ["b"]}, {}, {"categories": ["a"]}])
    assert max_per(np.array([0, 1, 2, 3, 4]), [(columns.labels("category"), 1)], 5).tolist() == [0, 3]
    assert max_per(np.array([4, 2, 1, 0, 3]), [(columns.labels("category"), 1)], 5).tolist() == [0, 1, 4]


@given(
    st.lists(st.integers(2, 30), unique=True, max_size=15),
    st.dictionaries(st.integers(1, 20), st.integers(2, 40)),
    st.integers(1, 20),
)
def test_pins_stand_at_their_ranks_and_nothing_twice(codes, pinned, limit):
    result = pins(np.array(codes, np.int32), pinned, limit).tolist()
    wanted: dict[int, int] = {}
    for rank in sorted(pinned):
        if rank <= limit and pinned[rank] not in wanted.values():
            wanted[rank] = pinned[rank]
    assert len(set(result)) == len(result) == min(limit, len(set(codes) | set(wanted.values())))
    assert set(wanted.values()) <= set(result)
    for rank, code in wanted.items():
        place = result.index(code)
        assert place <= rank - 1
        assert place == rank - 1 or set(result[place:]) <= set(wanted.values())  # the list ran out before
    assert [code for code in result if code not in wanted.values()] == [c for c in codes if c not in wanted.values()][
        : len(result) - len(wanted)
    ]


@pytest.mark.parametrize("stage", [mmr, dpp])
@given(seeds, st.integers(0, 15))
def test_without_weight_the_order_stays(stage, seed, limit):
    relevance, vectors = pool(seed)
    assert stage(relevance, vectors, 0.0, limit).tolist() == list(range(min(limit, 12)))


@pytest.mark.parametrize("stage", [mmr, dpp])
@given(seeds, weights, st.integers(0, 15))
def test_variety_takes_each_place_once_and_a_longer_list_begins_with_the_shorter(stage, seed, weight, limit):
    relevance, vectors = pool(seed)
    places = stage(relevance, vectors, weight, limit).tolist()
    assert len(set(places)) == len(places) == min(limit, 12)
    assert places[:3] == stage(relevance, vectors, weight, min(limit, 3)).tolist()
    if places and weight < 1:
        assert places[0] == 0


@given(seeds, weights.filter(lambda weight: weight > 0), st.integers(1, 8))
def test_mmr_is_its_definition(seed, weight, limit):
    relevance, vectors = pool(seed)
    scaled = (relevance - relevance.min()) / (relevance.max() - relevance.min())
    like, taken = likeness(vectors), []
    for _ in range(limit):
        worth = {
            place: (1 - weight) * scaled[place] - weight * max(like[place, taken], default=0)
            for place in range(len(relevance))
            if place not in taken
        }
        taken.append(max(worth, key=lambda place: (round(worth[place], 12), -place)))
    assert mmr(relevance, vectors, weight, limit).tolist() == taken


@given(seeds, weights.filter(lambda weight: 0 < weight < 1), st.integers(1, 5))
def test_dpp_is_greedy_in_the_determinant(seed, weight, limit):
    relevance, vectors = pool(seed)
    scaled = (relevance - relevance.min()) / (relevance.max() - relevance.min())
    kernel, taken = (1 + likeness(vectors)) / 2, []
    for _ in range(limit):
        worth = {}
        for place in set(range(len(relevance))) - set(taken):
            chosen = [*taken, place]
            volume = np.linalg.slogdet(kernel[np.ix_(chosen, chosen)])[1]
            worth[place] = (1 - weight) * scaled[chosen].sum() + weight * volume
        taken.append(max(sorted(worth), key=lambda place: round(worth[place], 9)))
    assert dpp(relevance, vectors, weight, limit).tolist() == taken


@pytest.mark.parametrize("stage", [mmr, dpp])
def test_more_weight_never_makes_lists_more_alike(stage):
    pools = [pool(seed, 30, 5) for seed in range(60)]
    alike = np.array(
        [
            [mean_likeness(vectors[stage(relevance, vectors, weight, 6)]) for relevance, vectors in pools]
            for weight in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
        ]
    )
    steps = np.diff(alike, axis=0)
    assert (steps.mean(axis=1) <= 2 * steps.std(axis=1) / np.sqrt(len(pools))).all()  # greedy: no promise for a single pool
    assert alike[-1].mean() < alike[0].mean() - 0.1


@pytest.mark.parametrize("stage", [mmr, dpp])
def test_copies_of_what_is_shown_wait(stage):
    vectors = np.array([[1.0, 0], [1, 0], [1, 0], [0, 1], [0, 1]])
    assert set(stage(np.array([5.0, 4.9, 4.8, 4, 3]), vectors, 0.5, 2)) == {0, 3}
    everything = stage(np.array([5.0, 4.9, 4.8, 4, 3]), vectors, 0.5, 9).tolist()
    assert sorted(everything) == [0, 1, 2, 3, 4]
    assert stage(np.array([1.0, 1.0]), np.zeros((2, 3)), 0.5, 2).tolist() == [0, 1]
    assert stage(np.zeros(0), np.zeros((0, 3)), 0.5, 2).tolist() == []


@given(st.integers(0, 40), st.integers(0, 20), weights, st.integers(), st.text(max_size=5))
def test_a_rotated_list_is_the_same_for_the_same_key_and_period_and_stays_in_the_pool(size, limit, rate, period, key):
    places = rotated(size, limit, rate, period, key).tolist()
    assert places == rotated(size, limit, rate, period, key).tolist()
    assert len(set(places)) == len(places) == min(limit, size)
    assert all(place == rank or limit <= place < min(size, 2 * limit) for rank, place in enumerate(places))
    if not rate:
        assert places == list(range(min(limit, size)))


def test_the_expected_share_of_places_that_rotate_is_the_rate():
    changed = [(rotated(60, 20, 0.3, hour, f"user {user}") >= 20).mean() for user in range(40) for hour in range(25)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.01)  # 20,000 places: a standard deviation is 0.0032
    lists = {tuple(rotated(60, 20, 0.3, hour, "ann")) for hour in range(25)}
    assert len(lists) > 20
    assert rotated(60, 20, 1.0, 0, "x").min() >= 20
    assert {place for hour in range(200) for place in rotated(60, 20, 0.3, hour, "ann") if place >= 20} == set(range(20, 40))
