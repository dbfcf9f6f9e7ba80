from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recommend.worlds import ragged, trained

from tastemaker.data.dataset import Dataset
from tastemaker.data.synthetic import two_tastes
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.models.base import Model, Query
from tastemaker.recommend.newcomers import NEIGHBOURS, Content, combined, extended, stand_ins, use

ITEMS, GROUPS = 30, 3
MODELS = ("ease", "item_knn", "als")


@cache
def world() -> Dataset:
    return two_tastes(240, ITEMS, GROUPS, 2, generator=3).dataset


@cache
def model(name: str) -> Model:
    return trained(name, world())


@cache
def tastes() -> np.ndarray:
    """The group of each item code, from who took what: items of a group share users."""
    cells = world().interactions.matrix(world().users.size, world().items.size)
    together = (cells.T @ cells).toarray() > 0
    groups = np.argmax(together, axis=1)  # the lowest item taken by the same people
    groups[:FIRST] = -1
    return groups


def scores(name: str, history: list[int]) -> np.ndarray:
    """(1, num_items) for somebody who is not among the users."""
    return model(name).score(Query.of(np.array([UNKNOWN]), ragged([history]))).numpy()


def members(group: int) -> list[int]:
    return np.flatnonzero(tastes() == group).tolist()


def shop() -> list[dict]:
    """Every item has words of its own and shares some with all; the price tells nothing."""
    rng = np.random.default_rng(0)
    words = [f"{'abcdefghij'[n // 10]}{n}" for n in range(100)]
    rows: list[dict] = [{}, {}]
    for code in range(FIRST, world().items.size):
        own = [words[3 * (code - FIRST) + n] for n in range(3)]
        rows.append({"title": f"the {' '.join(own)} thing", "price": float(rng.random()), "categories": ["things"]})
    return rows


@pytest.mark.parametrize("name", MODELS)
def test_a_newcomer_with_the_text_of_an_item_stands_beside_it_for_everybody(name):
    rows = shop()
    content = Content.of(rows)
    for twin in (2, 9, 17):
        weights = content.weights([{**rows[twin], "price": 0.5}])
        assert stand_ins(weights).tolist() == [twin]
        group = [code for code in members(tastes()[twin]) if code != twin]
        strangers = members(tastes()[tastes() >= 0][tastes()[tastes() >= 0] != tastes()[twin]][0])
        for history in (group[:5], group[2:4], strangers[:5]):
            row = extended(scores(name, history), weights)[0]
            assert abs(row[-1] - row[twin]) < 0.03 * np.ptp(row[FIRST:-1])
        fans, others = extended(scores(name, group[:5]), weights)[0], extended(scores(name, strangers[:5]), weights)[0]
        assert fans[-1] > fans[strangers].max()
        assert others[-1] < others[strangers[5:]].min()


@pytest.mark.parametrize("name", MODELS)
def test_a_newcomer_met_by_users_of_one_taste_goes_to_that_taste(name):
    items = world().items.size
    cells = world().interactions.matrix(world().users.size, items)
    users = np.asarray((cells > 0).sum(axis=0)).ravel()
    group = members(tastes()[5])
    others = [code for code in range(FIRST, items) if code not in group]
    rng = np.random.default_rng(1)
    met = [[*rng.choice(group, 4, replace=False), int(rng.choice(others)), items] for _ in range(12)]
    weights, audience = use(ragged(met), items, 1, users)
    assert audience.tolist() == [12]
    assert weights.sum() == pytest.approx(1)
    together = combined(sp.csr_matrix((1, items), dtype=np.float32), weights, audience)
    assert together.sum() == pytest.approx(12 / 17)
    fans, strangers = extended(scores(name, group[:5]), together)[0], extended(scores(name, others[:1]), together)[0]
    assert (fans[-1] > fans[others]).all()
    theirs = [code for code in members(tastes()[others[0]]) if code != others[0]]
    assert (strangers[-1] < strangers[theirs]).all()
    assert stand_ins(together)[0] in group


def test_without_evidence_there_is_no_recommendation():
    content = Content.of(shop())
    weights = content.weights([{}, {"title": "unheard of"}, {"title": "a0 unheard unseen unknown words of no kind"}])
    row = extended(np.ones((2, len(shop())), np.float32), weights)
    assert (row[:, -3:-1] == -np.inf).all()
    assert stand_ins(weights).tolist() == [UNKNOWN] * 3


def test_thin_evidence_stays_in_the_middle_of_the_field():
    known = np.array([[0, 0, -9, -8, -1, -2]], np.float32)  # all below zero, as logits are
    weights = sp.csr_matrix(np.array([[0, 0, 0, 0, 0.01, 0], [0, 0, 0, 0, 0.99, 0]], np.float32))
    row = extended(known, weights)[0]
    assert row[:6].tolist() == known[0].tolist()
    assert row[6] == pytest.approx(-5 + 0.04)
    assert row[7] == pytest.approx(-1 - 0.04)


def test_values_flags_numbers_and_list_elements_make_items_alike():
    base = [
        {},
        {},
        *({"brand": f"b{n % 5}", "tags": [f"t{n % 7}", 3], "price": float(n), "new": n % 2 == 0} for n in range(70)),
    ]
    content = Content.of(base)
    like = content.weights([{"brand": "b3"}, {"tags": ["t4"]}, {"price": 33.2}, {"tags": "t4"}]).toarray()
    assert {(n - FIRST) % 5 for n in np.flatnonzero(like[0])} == {3}
    assert {(n - FIRST) % 7 for n in np.flatnonzero(like[1])} == {4}
    near = np.flatnonzero(like[2])
    assert abs(near - FIRST - 33).max() <= 6
    assert like[2][33 + FIRST] == like[2].max()
    assert np.flatnonzero(like[3]).tolist() == np.flatnonzero(like[1]).tolist()  # the word is the same


def test_given_vectors_decide_between_items_that_have_one():
    rng = np.random.default_rng(0)
    rows = [{}, {}, *({"title": f"word{n}"} for n in range(40))]
    vectors = [None, None, *(rng.normal(size=8).tolist() for _ in range(30)), *(None for _ in range(9)), [1.0, 2.0]]
    content = Content.of(rows, vectors)
    alike = content.weights([{"title": "word3"}, {"title": "word35"}, {"title": "word3"}], [vectors[12], vectors[12], [1.0]])
    first, second, third = alike.toarray()
    assert np.argmax(first) == 12
    assert first[5] < 0.01  # the text of item 5 has no say: both have vectors
    assert second[12] > 0.2
    assert second[37] > 0.2  # an item without a vector is compared by its text
    assert np.argmax(third) == 5  # a vector of another length is none


_row = st.dictionaries(
    st.sampled_from(["title", "price", "tags"]),
    st.one_of(
        st.text(max_size=8),
        st.floats(),
        st.integers(),
        st.booleans(),
        st.none(),
        st.lists(st.text(max_size=3), max_size=3),
        st.just({}),
    ),
)
_vector = st.one_of(st.none(), st.lists(st.floats(width=32), max_size=3))


@settings(max_examples=25)
@given(st.lists(st.tuples(_row, _vector), max_size=8), st.lists(st.tuples(_row, _vector), min_size=1, max_size=4))
def test_rows_sum_below_one_and_do_not_depend_on_each_other(known, fresh):
    content = Content.of([{}, {}, *(row for row, _ in known)], [None, None, *(vector for _, vector in known)])
    weights = content.weights([row for row, _ in fresh], [vector for _, vector in fresh])
    assert weights.shape == (len(fresh), len(known) + 2)
    assert np.isfinite(weights.data).all()
    assert (weights.data > 0).all()
    assert (weights.sum(axis=1) < 1).all()
    assert not weights[:, :FIRST].nnz
    alone = sp.vstack([content.weights([row], [vector]) for row, vector in fresh])
    assert weights.toarray() == pytest.approx(alone.toarray(), abs=1e-5)


def test_use_counts_a_user_once_and_takes_over_from_content():
    users = np.full(10, 50)
    once, audience = use(ragged([[2, 3, 10]]), 10, 2, users)
    again, _ = use(ragged([[2, 2, 3, 10, 10]]), 10, 2, users)
    assert once.toarray().tolist() == again.toarray().tolist()
    assert audience.tolist() == [1, 0]
    content = sp.csr_matrix(np.array([[0, 0, 0, 0, 0.9, 0, 0, 0, 0, 0]] * 2, np.float32))
    both = combined(content, once, audience).toarray()
    assert both[0, 4] == pytest.approx(0.9 * 5 / 6)
    assert both[0, [2, 3]] == pytest.approx(1 / 12)
    assert both[1] == pytest.approx(content.toarray()[1])
    many, audience = use(ragged([[2, 10]] * 500), 10, 1, users)
    late = combined(content[:1], many, audience).toarray()
    assert late[0, 2] > 0.98
    assert late.sum() < 1
    nobody, audience = use(ragged([]), 10, 2, users)
    assert nobody.nnz == 0
    assert audience.tolist() == [0, 0]


def test_one_mad_user_does_not_place_a_newcomer():
    weights, audience = use(ragged([[2] * 100_000 + [10] * 50]), 10, 1, np.full(10, 50))
    assert combined(sp.csr_matrix((1, 10), dtype=np.float32), weights, audience).sum() <= 1 / 6 + 1e-6


def test_a_large_index_is_made_in_seconds_and_asked_in_milliseconds():
    rng = np.random.default_rng(0)
    words = np.minimum((rng.pareto(0.8, (20_000, 12)) * 3).astype(int), 9_999).tolist()
    rows = [
        {},
        {},
        *(
            {"title": " ".join(f"w{word}" for word in row), "categories": [f"c{row[0] % 30}"], "price": float(row[1])}
            for row in words
        ),
    ]
    start = time.process_time()
    content = Content.of(rows)
    assert time.process_time() - start < 4  # a fifth of the promise's catalogue
    laps = []
    for place in range(100, 110):
        start = time.process_time()
        weights = content.weights([rows[place]])
        laps.append(time.process_time() - start)
        assert weights.max() == weights[0, place] or rows[int(weights.argmax())] == rows[place]
        assert weights.nnz <= NEIGHBOURS
    assert min(laps) < 0.02


def test_pauses_come_often_and_change_nothing():
    rows = [
        {"title": f"lamp number {place}", "price": place, "tags": ["a", f"t{place % 7}"], "new": True} for place in range(1000)
    ]
    pauses = []
    paced, plain = Content.of(iter(rows), pause=lambda: pauses.append(time.perf_counter())), Content.of(rows)
    assert len(pauses) > 3 * len(rows) / 100
    assert (paced.postings != plain.postings).nnz == 0 and np.array_equal(paced.terms, plain.terms)
    assert {name: edges.tolist() for name, edges in paced.edges.items()} == {n: e.tolist() for n, e in plain.edges.items()}
