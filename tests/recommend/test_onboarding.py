import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from tastemaker.data.interactions import Histories
from tastemaker.data.synthetic import two_tastes
from tastemaker.data.vocabulary import FIRST
from tastemaker.recommend.onboarding import ANSWERS, DISLIKE, LIKE, UNKNOWN_ITEM, Prototypes, certainty

TASTES, BITS, HITS, NICHE = 8, 3, 6, 3


def coded(users: int = 400, seed: int = 0):
    """Eight tastes: everybody likes the hits, which are met most; six more items are liked by the tastes with a bit set, or not set;
    and each taste has its own niche. Three questions can tell a taste, if they are the right ones."""
    rng = np.random.default_rng(seed)
    likes = []
    for taste in range(TASTES):
        own = [HITS + 2 * bit + (taste >> bit & 1) for bit in range(BITS)]
        likes.append({*range(HITS), *own, *range(HITS + 2 * BITS + NICHE * taste, HITS + 2 * BITS + NICHE * (taste + 1))})
    size = HITS + 2 * BITS + NICHE * TASTES
    rows, values, owner = [], [], np.arange(users) % TASTES
    for user in range(users):
        met = [item for item in range(size) if rng.random() < (0.95 if item < HITS else 0.8 if item < HITS + 2 * BITS else 0.4)]
        rows.append(np.array(met) + FIRST)
        values += [5.0 if item in likes[owner[user]] else 1.0 for item in met]
    histories = Histories.of(rows)
    return (
        Histories(histories.items, histories.times, np.array(values, np.float32), histories.offsets),
        likes,
        owner,
        size + FIRST,
    )


@pytest.fixture(scope="module")
def world():
    histories, likes, owner, num_items = coded()
    found = Prototypes.of(histories, num_items, count=TASTES, like_from=4.0, seed=1)
    return found, histories, likes, owner, num_items


def taste_of(prototypes, histories, owner, answers):
    """The taste most probable after answers: prototypes are named after the users in them."""
    belief = prototypes.belief(answers)
    shares = np.stack(
        [
            prototypes.belief(
                {int(c): LIKE if v > 3 else DISLIKE for c, v in zip(histories.row(u), histories.values[a:b], strict=True)}
            )
            for u, (a, b) in enumerate(zip(histories.offsets[:80], histories.offsets[1:81], strict=True))
        ]
    )
    votes = np.zeros((TASTES, len(belief)))
    np.add.at(votes, owner[:80], shares)
    return int(np.argmax(votes @ belief))


@pytest.mark.parametrize(("way", "least", "most"), [("information", 0.95, 1.0), ("popular", 0.0, 0.3), ("random", 0.0, 0.8)])
def test_few_questions_tell_the_taste_where_popular_or_random_ones_do_not(world, way, least, most):
    prototypes, histories, likes, owner, num_items = world
    rng = np.random.default_rng(0)
    popular = np.argsort(-np.bincount(histories.items, minlength=num_items), kind="stable")
    right = 0
    for trial in range(40):
        taste, answers = trial % TASTES, {}
        for _ in range(4):
            banned = np.isin(prototypes.codes, list(answers))
            if way == "information":
                code = int(prototypes.questions(prototypes.belief(answers), 1, banned=banned)[0][0])
            elif way == "popular":
                code = next(int(one) for one in popular if one not in answers)
            else:
                code = int(rng.choice(prototypes.codes[~banned]))
            answers[code] = LIKE if code - FIRST in likes[taste] else DISLIKE
        right += taste_of(prototypes, histories, owner, answers) == taste
    assert least <= right / 40 <= most


def test_questions_asked_together_do_not_ask_the_same(world):
    prototypes, _, _, _, _ = world
    codes, worth = prototypes.questions(prototypes.prior(), 3)
    assert {(code - FIRST - HITS) // 2 for code in codes.tolist()} == {0, 1, 2}  # one of each bit
    assert (np.diff(worth) <= 1e-9).all()


def test_two_tastes_are_told_by_one_question_of_likes_alone():
    found = two_tastes(60, 20, generator=0).dataset
    histories = found.interactions.histories(found.users.size)
    prototypes = Prototypes.of(histories, found.items.size, count=2)
    tastes = {code + FIRST: taste for code, taste in enumerate(found.catalogue["taste"].to_pylist())}
    (code,), _ = prototypes.questions(prototypes.prior(), 1)
    for answer, same in ((LIKE, True), (DISLIKE, False), (UNKNOWN_ITEM, False)):
        liking = prototypes.liking(prototypes.belief({int(code): answer}))
        best = {tastes[int(one)] for one in prototypes.codes[np.argsort(-liking)[:8]]}
        assert best == ({tastes[int(code)]} if same else {"taste 0", "taste 1"} - {tastes[int(code)]})


def test_a_profile_is_a_first_answer():
    histories, _, owner, num_items = coded()
    profiles = [{"town": f"town {taste % 2}", "age": 20.0 + 10 * taste, "tags": ["x"]} for taste in owner]
    prototypes = Prototypes.of(histories, num_items, count=TASTES, like_from=4.0, profiles=profiles, seed=1)
    assert set(prototypes.columns) == {"town", "age"}
    nobody = prototypes.prior()
    for told in ({}, {"town": None, "age": float("nan")}, {"unheard": 1}, {"age": "many"}):
        np.testing.assert_allclose(prototypes.prior(told), nobody)
    one, other = prototypes.prior({"town": "town 0"}), prototypes.prior({"town": "town 1"})
    assert (one @ other) / np.sqrt((one @ one) * (other @ other)) < 0.5  # tastes with another first bit
    assert certainty(prototypes.prior({"town": "town 0", "age": 20}), nobody) > 0.4
    assert np.isfinite(prototypes.prior({"town": "never heard of", "age": 1e300})).all()


@given(data=st.data())
@profile(max_examples=30, deadline=None)
def test_beliefs_are_shares_and_questions_are_new(world, data):
    prototypes, _, _, _, num_items = world
    codes = st.integers(0, num_items + 5)
    answers = data.draw(st.dictionaries(codes, st.sampled_from(ANSWERS), max_size=20))
    belief = prototypes.belief(answers)
    assert belief.sum() == pytest.approx(1)
    assert (belief >= 0).all()
    assert 0 <= certainty(belief, prototypes.prior()) <= 1
    banned = np.isin(prototypes.codes, list(answers))
    asked, _ = prototypes.questions(belief, 60, banned=banned)
    assert len(set(asked.tolist())) == len(asked) == (~banned).sum()
    assert not set(asked.tolist()) & set(answers)


def test_what_is_learned_is_the_same_each_time_and_needs_no_two_users():
    histories, _, _, num_items = coded(60)
    one, other = (Prototypes.of(histories, num_items, like_from=4.0, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.log_rates, other.log_rates)
    lone = Prototypes.of(Histories.of([[2, 3, 3]]), 6)
    assert lone.codes.tolist() == [2, 3]
    assert lone.questions(lone.prior(), 5)[0].tolist() == [2, 3]
    assert np.exp(lone.log_rates).sum(axis=2) == pytest.approx(1)


def test_a_million_items_are_asked_about_in_milliseconds():
    rng = np.random.default_rng(0)
    histories = Histories.of(list((rng.zipf(1.3, (2000, 30)) % 1_000_000) + FIRST))
    prototypes = Prototypes.of(histories, 1_000_002)
    belief = prototypes.belief({int(prototypes.codes[0]): LIKE})
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        prototypes.questions(belief, 5)
        taken.append(time.perf_counter() - started)
    assert len(prototypes.codes) == 500
    assert min(taken) < 0.25  # 30 ms of one core
