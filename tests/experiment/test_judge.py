from dataclasses import replace

import numpy as np
import pytest

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Histories
from tastemaker.data.splits import DROPPED, TRAIN, SplitConfig, split
from tastemaker.data.synthetic import chain, planted_bias, two_tastes
from tastemaker.data.vocabulary import FIRST, Vocabulary
from tastemaker.errors import ConfigError
from tastemaker.experiment import baselines
from tastemaker.experiment.config import EvaluateSection
from tastemaker.experiment.judge import Judge, recoded
from tastemaker.models.base import Query


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return two_tastes(60, 24, generator=0).dataset


def judge_of(dataset: Dataset, **settings) -> Judge:
    parts = split(dataset, SplitConfig(kind="by_share", test_share=0.2, validation_share=0.2, seed=0))
    return Judge(dataset, parts, EvaluateSection.parse({"ks": (5,), "bootstrap": 0, **settings}, "evaluate"), ratings=False)


def test_what_chooses_is_the_metric_that_the_report_shows(dataset):
    judge = judge_of(dataset, select="recall@5")
    model = baselines.solved("ease", {}, dataset, judge.split.train)
    report = judge.report(model, "validation", judge.split.train)
    assert judge.chooser()(model) == pytest.approx(report.metrics["recall@5"], abs=1e-12)


def test_new_users_do_not_choose_where_they_are_not_asked():
    world = chain(generator=0).dataset
    parts = split(world, SplitConfig(kind="leave_last"))
    first_half = parts.interactions.user % 2 == 0
    parts = replace(parts, label=np.where(first_half & (parts.label == TRAIN), DROPPED, parts.label).astype(np.int8))
    figures = []
    for new_users in ("include", "exclude"):
        config = EvaluateSection.parse({"ks": (10,), "bootstrap": 0, "new_users": new_users}, "evaluate")
        judge = Judge(world, parts, config, ratings=False)
        assert (judge.questions("validation").histories.lengths == 0).any()
        model = baselines.solved("item_knn", {}, world, parts.train)
        figures.append(judge.chooser()(model))
        assert figures[-1] == pytest.approx(judge.report(model, "validation", parts.train).metrics["ndcg@10"], abs=1e-12)
    assert figures[0] != figures[1]


def test_a_metric_that_does_not_suit_the_model_is_refused(dataset):
    for settings in ({"select": "rmse"}, {"select": "ndcg"}, {"metrics": ("rmse",)}):
        with pytest.raises(ConfigError):
            judge_of(dataset, **settings)


def test_other_codes_give_the_same_figures(dataset):
    judge = judge_of(dataset)
    users, items = (
        Vocabulary(vocabulary.ids.take(np.arange(len(vocabulary))[::-1])) for vocabulary in (dataset.users, dataset.items)
    )
    turned, parts = recoded(dataset, judge.split, users, items)
    assert turned.items == items
    again = Judge(turned, parts, judge.config, ratings=False)
    settings = {"regularization": 10.0}
    first, second = (
        one.report(baselines.solved("ease", settings, one.dataset, one.split.train), "test", one.split.train)
        for one in (judge, again)
    )
    assert second.metrics == pytest.approx(first.metrics, abs=0.02)  # ties fall to other items, no more
    assert second.counts["targets"] == first.counts["targets"]


def test_users_and_items_new_to_the_model_are_asked_and_never_hit(dataset):
    judge = judge_of(dataset)
    model = baselines.solved("ease", {}, dataset, judge.split.train)
    few_users, few_items = Vocabulary(dataset.users.ids[:30]), Vocabulary(dataset.items.ids[:10])
    train = judge.split.train
    train = train.take((train.user < few_users.size) & (train.item < few_items.size))
    small = baselines.solved("ease", {}, Dataset(few_users, few_items, train), train)
    grown, parts = recoded(dataset, judge.split, few_users, few_items)
    report = Judge(grown, parts, judge.config, ratings=False).report(small, "test", parts.train)
    assert report.counts["users_asked"] == judge.report(model, "test", judge.split.train).counts["users_asked"]
    assert report.metrics["recall@5"] < 1


def test_a_baseline_is_the_best_of_its_grid_and_ties_go_to_the_earlier(dataset):
    judge = judge_of(dataset)
    tuned = baselines.tune("ease", dataset, judge.split.train, judge.chooser())
    figures = [
        judge.chooser()(baselines.solved("ease", settings, dataset, judge.split.train)) for settings in baselines.GRIDS["ease"]
    ]
    assert tuned.metric == max(figures)
    assert tuned.settings == baselines.GRIDS["ease"][int(np.argmax(figures))]


def test_without_times_no_recent_popularity_is_tried(dataset):
    judge = judge_of(dataset)
    train = judge.split.train
    timeless = type(train)(train.user, train.item, np.zeros_like(train.time), train.value, train.kind, train.side)
    assert baselines.tune("popularity", dataset, timeless, judge.chooser()).tried == 1


def test_ease_is_left_out_of_large_catalogues_with_a_reason(monkeypatch, dataset):
    assert baselines.reason_to_skip("ease", dataset) == ""
    monkeypatch.setattr(baselines, "EASE_ITEMS", 3)
    assert "24 items" in baselines.reason_to_skip("ease", dataset)


def test_a_gradient_model_is_no_baseline(dataset):
    with pytest.raises(ConfigError, match="solved in one step"):
        baselines.tune("sasrec", dataset, dataset.interactions, None)


def test_the_last_item_is_known_when_test_is_asked():
    world = chain(generator=0).dataset
    parts = split(world, SplitConfig(kind="leave_last"))
    judge = Judge(world, parts, EvaluateSection.parse({"ks": (3,), "bootstrap": 0}, "evaluate"), ratings=False)
    before, at_test = judge.questions("validation").histories.lengths, judge.questions("test").histories.lengths
    assert (at_test == before + 1).all()


def test_the_test_side_is_ranked_among_given_negatives_and_validation_among_all(dataset):
    judge = judge_of(dataset)
    users = judge.split.test.user
    few = np.random.default_rng(0).integers(FIRST, dataset.items.size, (dataset.users.size, 4))
    negatives = Histories.of([np.unique(row) for row in few])
    parts = replace(judge.split, negatives=negatives)
    among = Judge(dataset, parts, judge.config, ratings=False)
    model = baselines.solved("ease", {"regularization": 10.0}, dataset, parts.train)
    assert among.chooser()(model) == judge.chooser()(model)
    assert judge.ranked_among is None
    assert "given negatives, not the catalogue" in str(among.ranked_among)
    report = among.report(model, "test", parts.train)
    assert report.metrics["recall@5"] > judge.report(model, "test", parts.train).metrics["recall@5"]

    scores = model.score(Query.of(np.unique(users), among.questions("test").histories)).numpy()
    hits = []
    for row, user in enumerate(np.unique(users)):
        right = set(parts.test.item[users == user].tolist())
        ranked = sorted(right | set(negatives.row(user).tolist()), key=lambda code: (-scores[row, code], code))
        hits.append(len(right & set(ranked[:5])) / len(right))
    assert report.metrics["recall@5"] == pytest.approx(np.mean(hits))


def test_given_negatives_follow_their_users_and_items_to_other_codes(dataset):
    judge = judge_of(dataset)
    few = np.random.default_rng(0).integers(FIRST, dataset.items.size, (dataset.users.size, 4))
    parts = replace(judge.split, negatives=Histories.of([np.unique(row) for row in few]))
    users = Vocabulary(dataset.users.ids.take(np.arange(len(dataset.users))[::-1]))
    items = Vocabulary(dataset.items.ids.take(np.arange(len(dataset.items))[::-1])[:20])
    turned, moved = recoded(dataset, parts, users, items)
    for user in dataset.users.ids.to_pylist():
        before = parts.negatives.row(dataset.users.encode([user])[0])
        after = moved.negatives.row(turned.users.encode([user])[0])
        assert set(turned.items.decode(after)) == set(dataset.items.decode(before))


def test_only_what_is_of_an_asked_kind_is_left_out_of_lists(dataset):
    """Carts are known and in nobody's way: an item in the cart may be the one that is bought."""
    judge = judge_of(dataset)
    rows = judge.split.interactions
    cart = (judge.split.label == TRAIN) & (np.arange(len(rows)) % 2 == 0)
    rows = replace(rows, kind=cart.astype(np.int8), kinds=("buy", "cart"), kind_weights=(1.0, 1.0))
    parts = replace(judge.split, interactions=rows)
    judge = Judge(dataset, parts, judge.config, ratings=False)
    model = baselines.solved("popularity", {}, dataset, parts.train)
    questions = judge.questions("test")
    lists = judge.lists(model, questions, 20)
    bought, carted = (set(zip(*pairs, strict=True)) for pairs in (_pairs(questions.seen), _pairs(questions.histories)))
    listed = {(row, item) for row, items in enumerate(lists) for item in items}
    assert not listed & bought
    assert listed & (carted - bought)


def test_values_are_predicted_at_the_time_they_have():
    """Everybody rates a point higher on every other day."""
    world = planted_bias(generator=0).dataset
    rows = world.interactions
    day = np.arange(len(rows)) % 2
    rows = replace(rows, time=86_400_000_000 * (1 + day), value=rows.value + day.astype(np.float32))
    order = np.lexsort((rows.time, rows.user))
    world = replace(world, interactions=rows.take(order))
    found = []
    for sessions in ((), (1440.0,)):
        parts = split(world, SplitConfig(kind="by_share", test_share=0.2, validation_share=0.0, seed=0))
        config = EvaluateSection.parse({"metrics": ("rmse",), "bootstrap": 0}, "evaluate")
        settings = {"dim": 2, "burn_in": 30, "draws": 30, "sessions": sessions}
        model = baselines.solved("bfm", settings, world, parts.train)
        found.append(Judge(world, parts, config, ratings=True).report(model, "test", parts.train).metrics["rmse"])
    assert found[0] > 0.4
    assert found[1] < 0.5 * found[0]


def _pairs(histories):
    return np.repeat(np.arange(len(histories)), histories.lengths).tolist(), histories.items.tolist()


def test_cold_items_are_ranked_among_themselves_beside_the_catalogue(dataset):
    parts = split(dataset, SplitConfig(kind="cold_items", test_share=0.25, seed=0))
    judge = Judge(dataset, parts, EvaluateSection.parse({"ks": (5,), "bootstrap": 0}, "evaluate"), ratings=False)
    model = baselines.solved("popularity", {}, dataset, parts.train)
    report = judge.report(model, "test", parts.train)
    counts = np.bincount(parts.train.item, minlength=dataset.items.size)
    questions = judge.questions("test")
    cold = np.flatnonzero(counts[FIRST:] == 0) + FIRST
    asking = [user for row, user in enumerate(questions.users) if np.isin(questions.truth.row(row), cold).any()]
    assert report.parts["items/cold"].users.tolist() == report.parts["items/cold_among_cold"].users.tolist() == asking
    expected = []  # what is popular has nothing to say of these items, so ties fall to the lower codes not seen before
    for row, user in enumerate(questions.users):
        if user in asking:
            truth = set(questions.truth.row(row)) & set(cold)
            listed = [code for code in cold if code not in questions.histories.row(row)][:5]
            expected.append(len(truth & set(listed)) / len(truth))
    assert report.parts["items/cold_among_cold"].per_user["recall@5"] == pytest.approx(expected)
    assert report.parts["items/cold"].metrics["recall@5"] == 0 < np.mean(expected)
    few = replace(
        judge,
        split=split(dataset, SplitConfig(kind="cold_items", test_share=0.25, shots=2, seed=0)),
        config=EvaluateSection.parse({"ks": (5,), "bootstrap": 0, "coldness": True}, "evaluate"),
    )
    told = few.report(baselines.solved("popularity", {}, dataset, few.split.train), "test", few.split.train)
    assert told.parts["items/few_among_few"].counts == told.parts["items/few"].counts
    assert told.parts["items/few_among_few"].metrics["recall@5"] > told.parts["items/few"].metrics["recall@5"]
    off = replace(judge, config=EvaluateSection.parse({"ks": (5,), "bootstrap": 0, "coldness": False}, "evaluate"))
    assert off.report(model, "test", parts.train).parts == {}
