from __future__ import annotations

import numpy as np
import pytest
from tests.recommend.worlds import Grid, ragged, recommender

from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.errors import UnknownIdError
from tastemaker.models.base import Explains
from tastemaker.recommend.candidates import scorer
from tastemaker.recommend.reasons import effects, strongest
from tastemaker.resolve import model_class, model_names

personal = pytest.mark.parametrize("name", [name for name in model_names() if name != "popularity"])
of_choices = pytest.mark.parametrize(
    "name", [name for name in model_names() if set(model_class(name).solves) & {"two_tastes", "chain"}]
)
"""Models that learn from what was chosen; those of ratings learn nothing where all are alike."""
every_user = recommender("popularity").users.ids.to_pylist()[:-1]


@personal
def test_reasons_are_of_the_history_and_their_shares_sum_to_one(name):
    ours = recommender(name)
    history = ours.history(every_user[5])
    for found in ours.recommend_history(history, 5):
        reasons = ours.explain_history(history, found.item, limit=100)
        assert {reason.item for reason in reasons} <= set(history)
        assert [reason.share for reason in reasons] == sorted((reason.share for reason in reasons), reverse=True)
        if reasons:
            assert sum(reason.share for reason in reasons) == pytest.approx(1, abs=1e-5)
            assert reasons[0].text == f"because of Thing {reasons[0].item}"
            assert ours.explain_history(history, found.item, limit=2) == reasons[:2]


@of_choices
def test_removing_the_named_event_lowers_the_score_more_than_removing_another(name):
    ours, rng = recommender(name), np.random.default_rng(0)

    def score(history, item):
        return ours.recommend_history(history, allow=[item], include_seen=True)[0].score

    named, other = [], []
    for user in every_user:
        history = ours.history(user)
        best = ours.recommend_history(history, 1)[0].item
        reasons = ours.explain_history(history, best, limit=1)
        if not reasons:
            continue
        rest = [item for item in history if item != reasons[0].item]
        whole, without = score(history, best), score(rest, best)
        drawn = rest[rng.integers(len(rest))]
        named.append(whole - without)
        other.append(whole - score([item for item in history if item != drawn], best))
    assert len(named) > len(every_user) / 2
    assert np.mean(named) > 0
    assert np.mean(named) > 1.2 * np.mean(other)
    assert np.mean(np.array(named) > np.array(other) - 1e-6) > 0.8


def test_the_transformer_names_the_event_that_the_next_one_follows():
    ours = recommender("sasrec")
    right = [
        ours.explain(user, ours.recommend(user, 1)[0].item, limit=1)[0].item == ours.history(user)[-1] for user in every_user
    ]
    assert np.mean(right) > 0.9


@personal
def test_reasons_asked_with_the_list_are_those_of_explain(name):
    ours = recommender(name)
    answer = ours.recommend(every_user[2], 4, reasons=True)
    for found in answer:
        alone = ours.explain(every_user[2], found.item)
        assert [reason.item for reason in found.reasons] == [reason.item for reason in alone]
        assert [reason.share for reason in found.reasons] == pytest.approx([reason.share for reason in alone], abs=1e-3)


def test_the_popular_list_gives_no_reasons():
    ours = recommender("item_knn")
    assert all(found.reasons == () for found in ours.recommend("nobody", reasons=True))
    assert ours.explain("newcomer", ours.items.ids[0].as_py()) == ()
    assert all(found.reasons == () for found in recommender("popularity").recommend(every_user[0], reasons=True))


def test_unknown_users_and_items_cannot_be_explained():
    ours = recommender("item_knn")
    with pytest.raises(UnknownIdError, match="nobody"):
        ours.explain("nobody", ours.items.ids[0].as_py())
    with pytest.raises(UnknownIdError, match="nothing"):
        ours.explain(every_user[0], "nothing")


def test_deletion_finds_the_terms_of_a_sum():
    model = Grid()
    assert not isinstance(model, Explains)
    row, items = [5, 9, 5, UNKNOWN, 30], np.array([7, 12, 31])
    history = ragged([row])
    sources, effect = effects(model, scorer(model), UNKNOWN, history, items)
    assert sources.tolist() == [30, 5, 9]
    terms = (model.vectors[[30, 5, 9]] @ model.vectors[items].T).numpy() * np.array([[1], [2], [1]])
    assert effect.tolist() == terms.tolist()


@pytest.mark.parametrize("name", [name for name in model_names() if isinstance(recommender(name).model, Explains)])
def test_terms_of_a_linear_model_sum_to_its_score(name):
    ours = recommender(name)
    user = ours.users.encode([every_user[9]])
    found = ours.recommend(every_user[9], 5)
    codes = ours.items.encode([one.item for one in found])
    _, effect = effects(ours.model, scorer(ours.model), int(user[0]), ours.histories.take(user), codes)
    spoken_for = [one.score > 0 for one in found]
    assert any(spoken_for)
    assert effect.sum(0)[spoken_for] == pytest.approx(np.array([one.score for one in found])[spoken_for], rel=1e-4)


def test_only_what_adds_is_a_reason_and_ties_go_to_the_newer():
    assert strongest(np.array([1.0, -5.0, 3.0, 1.0]), 3) == [(2, 0.6), (0, 0.2), (3, 0.2)]
    assert strongest(np.array([-1.0, 0.0]), 3) == []
    assert strongest(np.array([]), 3) == []
