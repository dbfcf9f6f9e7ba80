from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tastemaker.models.base import Query
from tastemaker.models.ease import Ease
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve import gate
from tastemaker.serve.fresh import Fresh, Learned
from tastemaker.serve.settings import GateSettings
from tastemaker.store.base import Event, open_store

from . import towns

LIMITS = GateSettings.parse({"bootstrap": 100})


@pytest.fixture(scope="module")
def town(town_file):
    with open_store(f"sqlite:///{town_file}") as opened:
        yield opened


def check(candidate, town, current=None, learned=None, **limits):
    return gate.check(candidate, current, town, learned=learned, settings=LIMITS.model_copy(update=limits))


def test_a_model_that_learned_passes_and_says_by_how_much(good, town):
    report = check(good, town)
    assert (report.passed, report.reasons, report.warnings, report.users_asked) == (True, (), (), 160)
    own, popular = (report.metrics[name]["ndcg@10"] for name in ("candidate", "popularity"))
    assert own["interval"][0] <= own["value"] <= own["interval"][1]
    assert own["interval"][0] > popular["interval"][1]
    low, high = report.differences["popularity"]["interval"]
    assert 0 < low <= own["value"] - popular["value"] <= high


SEQUENCES = {"epochs": 6, "dim": 16, "blocks": 1, "max_length": 20, "learning_rate": 0.01}


@pytest.mark.parametrize(("name", "settings"), [("ease", {}), ("item_knn", {}), ("sasrec", SEQUENCES)])
def test_a_model_trained_on_shuffled_labels_is_refused(name, settings, town):
    report = check(towns.model(name, shuffled=True, **settings), town)
    assert not report.passed
    assert "learned next to nothing of users" in report.reasons[0]


def test_a_worse_model_does_not_take_over_from_a_better_one(good, weak, town):
    assert check(weak, town).passed
    report = check(weak, town, current=good)
    assert not report.passed
    assert "worse than the model in use" in report.reasons[0]
    assert check(good, town, current=weak).passed


def test_a_model_as_good_as_the_one_in_use_passes(good, town):
    report = check(good, town, current=good)
    assert report.passed
    assert report.differences["in_use"] == {"difference": 0.0, "interval": [0.0, 0.0]}


def test_popularity_itself_passes_where_nothing_better_is_in_use(town):
    assert check(towns.model("popularity"), town).passed


class Broken(Ease):
    """Answers with what it is told to."""

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        scores = super().score(query, items)
        return self.answer(scores)  # type: ignore[operator]


def _broken(good, answer):
    model = Broken(good.model.config, good.model.schema)
    model.load_state_dict(good.model.state_dict())
    model.answer = answer
    return Recommender(model, good.users, good.items, good.histories)


def _raises(scores: Tensor) -> Tensor:
    raise RuntimeError("no memory")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda scores: scores.index_fill(1, torch.tensor([7]), torch.nan), "NaN or infinite scores"),
        (lambda scores: scores.index_fill(1, torch.tensor([7]), torch.inf), "NaN or infinite scores"),
        (lambda scores: -torch.arange(scores.shape[1]).float().repeat(len(scores), 1), "learned next to nothing of users"),
        (_raises, "cannot answer: RuntimeError: no memory"),
    ],
    ids=["nan", "inf", "the same for all", "raises"],
)
def test_a_broken_model_is_refused(good, town, answer, reason):
    report = check(_broken(good, answer), town)
    assert not report.passed
    assert reason in " ".join(report.reasons)


def test_a_slow_model_is_refused(good, town):
    report = check(good, town, max_milliseconds=1e-6)
    assert not report.passed
    assert "ms, more than" in report.reasons[0]


def test_a_model_of_another_catalogue_is_refused(good, town):
    report = check(towns.renamed(good, lambda name: f"other {name}"), town)
    assert not report.passed
    assert "0% of the newest events are of items it knows" in report.reasons[0]


def test_with_too_few_users_a_first_model_passes_with_a_warning_and_a_second_one_does_not(good, weak, town):
    first = check(weak, town, min_users=1000)
    assert first.passed
    assert "160 users can be asked, fewer than 1000" in first.warnings[0]
    second = check(good, town, current=weak, min_users=1000)
    assert not second.passed
    assert "nothing can be said" in second.reasons[0]


def test_an_empty_store_lets_a_first_model_pass_with_a_warning(good, tmp_path):
    with open_store(str(tmp_path / "empty.db")) as empty:
        report = check(good, empty)
    assert (report.passed, report.users_asked) == (True, 0)
    assert "0 users can be asked" in report.warnings[0]


def test_too_few_users_do_not_let_a_broken_model_pass(good, town):
    assert not check(_broken(good, _raises), town, min_users=1000).passed


def test_what_is_asked_is_each_users_newest_event_and_never_one_met_before(store, good):
    store.add_events(
        [
            Event("u2", "new", towns.START + 20 * towns.DAY),
            Event("u3", store.history("u3")[0].item_id, towns.START + 20 * towns.DAY),
        ]
    )
    fresh = Fresh.of(store, good, None, Learned(), LIMITS)
    right = dict(zip(fresh.user_ids, fresh.items.decode(fresh.truth.items), strict=True))
    assert right["u2"] == "new"
    assert "u3" not in right
    assert len(right) == 159
    row = fresh.histories.row(fresh.user_ids.index("u2"))
    assert fresh.items.decode(row) == [done.item_id for done in store.history("u2")][:-1]


@pytest.mark.parametrize(
    ("learned", "asked"),
    [
        (Learned("by_time", sequence=2880, cut=towns.START + 10 * towns.DAY), {"u2"}),
        (Learned("by_share", sequence=2880), {"u2"}),
        (Learned("by_share", sequence=0), None),
    ],
)
def test_what_the_candidate_learned_from_is_not_asked(store, good, learned, asked):
    store.add_events([Event("u2", "new", towns.START + 20 * towns.DAY)])
    users = set(Fresh.of(store, good, None, learned, LIMITS).user_ids)
    assert users == asked if asked else len(users) == 160


def test_models_are_asked_in_their_own_codes(good, weak, town):
    fresh = Fresh.of(town, good, weak, Learned(), LIMITS)
    users, histories = fresh.asked_of(weak, rows=np.array([3]))
    assert weak.users.decode(users) == [fresh.user_ids[3]]
    assert weak.items.decode(histories.items) == fresh.items.decode(fresh.histories.row(3))


def test_a_model_with_integer_ids_is_asked_by_their_digits(good, tmp_path):
    model = towns.renamed(good, lambda name: int(name[1:]))
    assert str(model.items.ids.type) == "int64"
    with open_store(str(tmp_path / "n.db")) as numbers:
        numbers.add_events([replace(event, user_id=event.user_id[1:], item_id=event.item_id[1:]) for event in towns.events()])
        report = check(model, numbers)
    assert report.passed
    assert report.metrics["candidate"]["ndcg@10"]["value"] > 0.9
