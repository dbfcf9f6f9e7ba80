from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.recommend.worlds import Grid, recommender, trained

from tastemaker.data.interactions import Histories
from tastemaker.data.synthetic import two_tastes
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.errors import ConfigError, DataError, UnknownIdError
from tastemaker.recommend.candidates import retrieve
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_names

every_model = pytest.mark.parametrize("name", model_names())
slow_start = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
item_ids = recommender("popularity").items.ids.to_pylist()
user_ids = recommender("popularity").users.ids.to_pylist()


OWN_VECTORS = {"lightgcn", "simplex", "svdpp"}
"""These know a user by the code as well as by the history."""


def ids(answer) -> list:
    return [found.item for found in answer]


def agree(one, other) -> None:
    """Equal lists, but for the last bits of scores and the order of items that those alone tell apart."""
    close = {"rel": 1e-5, "abs": 1e-5}
    assert [found.score for found in one] == pytest.approx([found.score for found in other], **close)
    places = {found.item: found.score for found in other}
    for found in one:
        assert places.get(found.item, other[-1].score) == pytest.approx(found.score, **close)


@every_model
def test_a_list_is_the_models_own_ranking_without_what_the_user_has_seen(name):
    ours = recommender(name)
    code = ours.users.encode([user_ids[7]])
    history = ours.histories.take(code)
    expected = retrieve(ours.model, code, history, 5, exclude=history)
    answer = ours.recommend(user_ids[7], 5)
    assert ids(answer) == ours.items.decode(expected.codes[0])
    assert [found.score for found in answer] == expected.scores[0].tolist()
    assert [found.rank for found in answer] == [1, 2, 3, 4, 5]
    assert not set(ids(answer)) & set(ours.history(user_ids[7]))
    assert answer.fallback == ""


@every_model
@slow_start
@given(
    users=st.lists(st.sampled_from([*user_ids, "nobody"]), min_size=1, max_size=5),
    k=st.integers(1, 25),
    exclude=st.sets(st.sampled_from([*item_ids, "nothing"])),
    allow=st.none() | st.sets(st.sampled_from([*item_ids, "nothing"])),
    include_seen=st.booleans(),
)
def test_exclusions_and_allow_lists_are_kept_and_a_batch_equals_single_requests(name, users, k, exclude, allow, include_seen):
    ours = recommender(name)
    asked = {"include_seen": include_seen, "exclude": exclude, "allow": allow}
    answers = ours.recommend_many(users, k, **asked)
    for user, answer in zip(users, answers, strict=True):
        open_to = (set(item_ids) if allow is None else allow & set(item_ids)) - exclude
        open_to -= set() if include_seen else set(ours.history(user))
        assert set(ids(answer)) <= open_to
        assert len(answer) == len(set(ids(answer))) == min(k, len(open_to))
        alone = ours.recommend(user, k, **asked)
        agree(alone, answer)
        assert alone.fallback == answer.fallback


@every_model
@pytest.mark.parametrize("user", ["nobody", "newcomer"])
def test_who_brings_nothing_gets_the_popular_items_and_is_told_so(name, user):
    ours = recommender(name)
    answer = ours.recommend(user, 20)
    popular = sorted(range(20), key=lambda place: (-ours.events[place + 2], place))
    assert answer.fallback == ("" if name == "popularity" else "popularity")
    assert ids(answer) == [item_ids[place] for place in popular]
    assert [found.score for found in answer] == [ours.events[place + 2] for place in popular]


@every_model
def test_a_history_is_as_good_as_the_user_who_has_it(name):
    ours = recommender(name)
    if not ours.model.needs_history or name in OWN_VECTORS:
        pytest.skip("this model knows its users by their codes")
    answer = ours.recommend_history(ours.history(user_ids[11]), 6)
    assert ids(answer) == ids(ours.recommend(user_ids[11], 6))


def test_unknown_ids_of_a_history_are_skipped_and_told():
    ours = recommender("item_knn")
    answer = ours.recommend_history([item_ids[0], "nothing", item_ids[3]], 4)
    assert answer.unknown == ("nothing",)
    assert answer.items == ours.recommend_history([item_ids[0], item_ids[3]], 4).items
    lost = ours.recommend_history(["nothing", None], 4)
    assert (lost.unknown, lost.fallback) == (("nothing", None), "popularity")
    assert lost.items == ours.recommend("nobody", 4).items
    assert ours.recommend_history([], 4).fallback == "popularity"


@every_model
def test_similar_items_never_hold_the_item_itself(name):
    ours = recommender(name)
    for item in item_ids[:5]:
        answer = ours.similar(item, 19)
        assert item not in ids(answer)
        assert answer.fallback == ("co-occurrence" if name == "popularity" else "")
        assert [found.score for found in answer] == sorted((found.score for found in answer), reverse=True)
    with pytest.raises(UnknownIdError, match="nothing"):
        ours.similar("nothing")


@pytest.mark.parametrize("name", sorted({"popularity", "item_knn", "user_knn", "ease", "als"}))
def test_similar_items_are_of_the_same_taste(name):
    world = two_tastes()
    ours = Recommender.of(trained(name, world.dataset), world.dataset)
    table = world.dataset.interactions.matrix(world.dataset.users.size, world.dataset.items.size)
    together = (table.T @ table).toarray()
    for item in world.dataset.items.ids.to_pylist():
        code = ours.items.encode([item])[0]
        found = ours.items.encode(ids(ours.similar(item, 5)))
        assert (together[code, found] > 0).all()


def test_similarity_is_the_cosine_of_centred_item_vectors():
    ours = recommender("als")
    vectors = ours.model.encode_item().numpy().astype(np.float64)
    vectors -= vectors[2:].mean(axis=0)
    first, second = ours.items.encode([item_ids[0], item_ids[5]])
    expected = vectors[first] @ vectors[second] / np.linalg.norm(vectors[first]) / np.linalg.norm(vectors[second])
    (found,) = (one for one in ours.similar(item_ids[0], 20) if one.item == item_ids[5])
    assert found.score == pytest.approx(expected, abs=1e-5)


def test_co_occurrence_is_the_cosine_of_the_sets_of_users():
    ours = recommender("popularity")
    fans = [{user for user in user_ids if item in ours.history(user)} for item in item_ids]
    expected = {
        item: len(fans[0] & theirs) / np.sqrt(len(fans[0]) * len(theirs))
        for item, theirs in zip(item_ids[1:], fans[1:], strict=True)
        if fans[0] & theirs
    }
    found = {one.item: one.score for one in ours.similar(item_ids[0], 20)}
    assert found == pytest.approx(expected)


def test_names_come_from_the_catalogue_else_from_the_id():
    ours = recommender("popularity")
    assert ours.name(item_ids[4]) == f"Thing {item_ids[4]}"
    assert all(found.name == f"Thing {found.item}" for found in ours.recommend(user_ids[0]))
    bare = Recommender(Grid(), Vocabulary(range(28)), Vocabulary(range(38)), Histories.of([[]] * 30))
    assert bare.name(7) == "7"
    gaps = pa.table({"code": pa.array(range(38)), "Title": pa.array(["", None, "Third"] + ["x"] * 35)})
    named = Recommender(Grid(), Vocabulary(range(28)), Vocabulary(range(38)), Histories.of([[]] * 30), catalogue=gaps)
    assert [named.name(item) for item in range(3)] == ["0", "1", "Third"]


def test_an_answer_reads_as_a_sequence():
    answer = recommender("popularity").recommend(user_ids[0], 3)
    assert len(answer) == 3
    assert answer[0].rank == 1
    assert answer[1:] == answer.items[1:]
    assert [found.rank for found in answer] == [1, 2, 3]


def test_integer_ids_come_back_as_integers():
    histories = Histories.of([[], [], [2, 3], *[[]] * 27])
    ours = Recommender(Grid(), Vocabulary(range(100, 128)), Vocabulary(range(500, 538)), histories)
    assert ours.history(100) == [500, 501]
    assert all(isinstance(found.item, int) and 500 <= found.item < 538 for found in ours.recommend(100))
    assert ours.recommend("100").items == ours.recommend(100).items


def test_a_cut_history_keeps_the_newest_events_and_all_counts():
    whole, dataset = recommender("item_knn"), two_tastes().dataset
    cut = Recommender.of(trained("item_knn", dataset), dataset, history_length=3)
    full = Recommender.of(cut.model, dataset)
    assert cut.events.tolist() == full.events.tolist()
    assert all(cut.history(user) == full.history(user)[-3:] for user in dataset.users.ids.to_pylist())
    assert len(whole.history(user_ids[0])) == 8


def test_parts_that_do_not_belong_together_are_refused():
    users, items, histories = Vocabulary(range(28)), Vocabulary(range(38)), Histories.of([[]] * 30)
    for wrong in (
        (Grid(), Vocabulary(range(27)), items, histories),
        (Grid(), users, Vocabulary(range(39)), histories),
        (Grid(), users, items, Histories.of([[]] * 28)),
    ):
        with pytest.raises(DataError, match="vocabular"):
            Recommender(*wrong)
    with pytest.raises(DataError, match="catalogue"):
        Recommender(Grid(), users, items, histories, catalogue=pa.table({"title": ["one"]}))


@pytest.mark.parametrize("user", [user_ids[0], "nobody"])
def test_k_below_one_is_refused(user):
    with pytest.raises(ConfigError, match="k = 0"):
        recommender("popularity").recommend(user, 0)


@every_model
def test_the_stream_of_all_users_holds_what_each_gets_alone(name):
    ours = recommender(name)
    table = pa.Table.from_batches(ours.recommend_all(4, chunk=7)).to_pylist()
    rows = [SimpleNamespace(**dict(zip(("user", "item", "rank", "score"), row.values(), strict=True))) for row in table]
    assert [row.user for row in rows] == [user for user in user_ids for _ in range(4)]
    assert [row.rank for row in rows] == [1, 2, 3, 4] * len(user_ids)
    for place, user in enumerate(user_ids):
        agree(rows[4 * place : 4 * place + 4], ours.recommend(user, 4))
