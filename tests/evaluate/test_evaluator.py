import json
import time

import numpy as np
import pytest
from scipy import stats

from tastemaker.data.interactions import Histories
from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate import metrics
from tastemaker.evaluate.evaluator import EvaluateConfig, evaluate_ranking, evaluate_ratings

COUNTS = np.array([0, 0, 50, 9, 8, 7, 6, 5, 0, 0, 3, 2])  # items 2…11; 8 and 9 are cold; head: 2 and 3 (20 % of 8, rounded up)


def world(users: int = 60, seed: int = 0):
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(np.arange(2, 12))[:4] for _ in range(users)])
    truth = Histories.of([rng.integers(2, 12, rng.integers(0, 5)) for _ in range(users)])
    histories = Histories.of([rng.integers(2, 12, rng.integers(0, 7)) for _ in range(users)])
    return lists, truth, histories


def judge(lists, truth, histories, config=None, **more):
    config = config or EvaluateConfig(ks=(2, 4), bootstrap=50)
    return evaluate_ranking(lists, truth, COUNTS, histories.lengths, config, histories=histories, **more)


def test_metrics_are_means_over_users_with_a_target():
    lists, truth, histories = world()
    report = judge(lists, truth, histories)
    asked = truth.lengths > 0
    hits, relevant = metrics.hits_of(lists, truth)
    assert report.counts["users_asked"] == asked.sum() == len(report.users)
    assert report.counts["users_without_targets"] == (~asked).sum() > 0
    assert report.metrics["ndcg@4"] == pytest.approx(metrics.ndcg(hits, relevant)[asked].mean())
    assert report.metrics["recall@2"] == pytest.approx(metrics.recall(hits[:, :2], relevant)[asked].mean())
    assert set(report.metrics) == {f"{name}@{k}" for name in metrics.RANKING for k in (2, 4)} == set(report.per_user)
    assert report.users.tolist() == np.flatnonzero(asked).tolist()


def test_new_users_can_be_left_out():
    lists, truth, histories = world()
    included = judge(lists, truth, histories)
    excluded = judge(lists, truth, histories, EvaluateConfig(ks=(4,), new_users="exclude", bootstrap=0))
    new = included.counts["users_without_history"]
    assert excluded.counts["users_asked"] == included.counts["users_asked"] - new
    assert excluded.counts["users_excluded_as_new"] == new > 0
    assert excluded.segments["users/new"] == {"count": 0}
    assert excluded.intervals == {}


def test_user_segments_partition_the_users():
    lists, truth, histories = world()
    report = judge(lists, truth, histories)
    parts = [report.segments[f"users/{name}"] for name in ("new", "light", "heavy")]
    assert all(part["count"] > 0 for part in parts)
    assert sum(part["count"] for part in parts) == report.counts["users_asked"]
    whole = sum(part["count"] * part["map@4"] for part in parts) / report.counts["users_asked"]
    assert whole == pytest.approx(report.metrics["map@4"])
    asked = histories.take(report.users).lengths
    assert report.counts["light_history_at_most"] == int(np.median(asked[asked > 0]))


def test_item_segments_split_the_targets():
    # one user; targets: head 2 (hit), tail 5 (missed) and 6 (hit), cold 8 (missed)
    truth, histories = Histories.of([[2, 5, 6, 8]]), Histories.of([[3]])
    report = judge(np.array([[2, 6, 7, 4]]), truth, histories, EvaluateConfig(ks=(4,), bootstrap=0))
    assert report.segments["items/head"] == {"count": 1, "recall@4": 1.0, "hit_rate@4": 1.0}
    assert report.segments["items/tail"] == {"count": 2, "recall@4": 0.5, "hit_rate@4": 1.0}
    assert report.segments["items/cold"] == {"count": 1, "recall@4": 0.0, "hit_rate@4": 0.0}
    assert report.counts["targets"] == 4
    assert report.counts["cold_targets"] == 1


def test_targets_seen_before_are_counted_once():
    report = judge(np.array([[2, 6, 7, 4]]), Histories.of([[3, 3, 5]]), Histories.of([[3, 3, 9]]))
    assert report.counts["targets_seen_before"] == 1
    assert report.counts["targets"] == 2


def test_beyond_accuracy_is_there_for_what_was_given():
    lists, truth, histories = world()
    full = judge(lists, truth, histories, item_vectors=np.eye(12))
    assert full.beyond["diversity@4"] == pytest.approx(1)  # orthogonal items
    assert {"coverage@2", "gini@4", "popularity_lift@2", "serendipity@4", "novelty@2"} <= set(full.beyond)
    bare = evaluate_ranking(lists, truth, COUNTS, histories.lengths, EvaluateConfig(ks=(4,)))
    assert "diversity@4" not in bare.beyond
    assert "popularity_lift@4" not in bare.beyond


def test_interval_of_a_mean_agrees_with_theory():
    rng = np.random.default_rng(0)
    lists = np.tile(np.array([2, 3, 4, 5]), (4000, 1))
    truth = Histories.of(list(rng.integers(2, 12, (4000, 1))))
    report = judge(lists, truth, Histories.of([[2]] * 4000), EvaluateConfig(ks=(4,), metrics=("hit_rate",), bootstrap=2000))
    p = report.metrics["hit_rate@4"]
    half = stats.norm.ppf(0.975) * np.sqrt(p * (1 - p) / 4000)
    assert report.intervals["hit_rate@4"] == pytest.approx((p - half, p + half), abs=0.1 * half)


def test_a_wider_confidence_gives_a_wider_interval_and_a_seed_the_same_one():
    lists, truth, histories = world()
    low = judge(lists, truth, histories, EvaluateConfig(ks=(4,), confidence=0.5)).intervals["ndcg@4"]
    high = judge(lists, truth, histories, EvaluateConfig(ks=(4,), confidence=0.99)).intervals["ndcg@4"]
    assert high[0] < low[0] < low[1] < high[1]
    assert judge(lists, truth, histories).intervals == judge(lists, truth, histories).intervals


def test_thirty_thousand_users_are_resampled_in_seconds():
    rng = np.random.default_rng(0)
    users = 30_000
    lists = np.tile(np.arange(2, 22), (users, 1))
    truth = Histories.of(list(rng.integers(2, 200, (users, 2))))
    counts = np.ones(200, np.int64)
    start = time.process_time()
    evaluate_ranking(lists, truth, counts, np.ones(users), EvaluateConfig())
    assert time.process_time() - start < 10  # 0.7 s of one core


def test_what_cannot_be_judged_is_a_typed_error():
    lists, truth, histories = world()
    with pytest.raises(DataError, match="k ≥ 20"):
        judge(lists, truth, histories, EvaluateConfig())
    with pytest.raises(DataError, match="a row for each user"):
        judge(lists[:-1], truth, histories)
    with pytest.raises(DataError, match=r"0…11.*item code 12 in a list"):
        judge(np.array([[2, 3, 4, 12]]), Histories.of([[2]]), Histories.of([[2]]))
    with pytest.raises(DataError, match="no user to ask"):
        judge(lists[:1], Histories.of([[]]), Histories.of([[2]]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"metrics": ["ndgc"]}, "ndcg"),
        ({"metrics": []}, "at least one metric"),
        ({"ks": [0]}, "whole numbers"),
        ({"confidence": 1.0}, "evaluate.confidence"),
        ({"kss": [5]}, "did you mean 'ks'"),
        ({"new_users": "some"}, "include"),
    ],
)
def test_wrong_settings_name_the_key(values, message):
    with pytest.raises(ConfigError, match=message):
        EvaluateConfig.parse(values, "evaluate")


def test_settings_spread_metrics_over_cuts():
    config = EvaluateConfig.parse({"metrics": ["ndcg", "rmse", "recall@50", "ndcg@5"], "ks": [5, 10]}, "evaluate")
    assert config.ranking == ("ndcg@5", "ndcg@10", "recall@50")
    assert config.rating == ("rmse",)
    assert config.length == 50
    assert EvaluateConfig.parse(json.loads(config.model_dump_json())) == config


def test_ratings_are_pooled_over_rows():
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(2, 32), rng.integers(1, 30, 30))
    actual = rng.integers(1, 6, len(users)).astype(float)
    predicted = actual + rng.normal(0, 1, len(users))
    lengths = np.arange(32)[users] - 2
    report = evaluate_ratings(predicted, actual, users, EvaluateConfig(), history_lengths=lengths)
    assert report.metrics == {"rmse": metrics.rmse(predicted, actual), "mae": metrics.mae(predicted, actual)}
    assert report.per_user["mae"][3] == pytest.approx(np.abs(predicted - actual)[users == 5].mean())
    low, high = report.intervals["rmse"]
    assert low < report.metrics["rmse"] < high
    heavy = lengths > report.counts["light_history_at_most"]
    assert report.segments["users/heavy"]["rmse"] == pytest.approx(metrics.rmse(predicted[heavy], actual[heavy]))
    assert sum(report.segments[f"users/{name}"]["count"] for name in ("new", "light", "heavy")) == 30
    one = evaluate_ratings(predicted, actual, users, EvaluateConfig(metrics=("mae",), bootstrap=0))
    assert set(one.metrics) == {"mae"}


def test_rating_intervals_know_that_a_users_rows_belong_together():
    users = np.repeat(np.arange(100), 50)
    error = np.repeat(np.random.default_rng(0).normal(0, 1, 100), 50)
    config = EvaluateConfig(metrics=("mae",))
    together = evaluate_ratings(error, np.zeros(5000), users, config).intervals["mae"]
    apart = evaluate_ratings(error, np.zeros(5000), np.arange(5000), config).intervals["mae"]
    assert together[1] - together[0] > 5 * (apart[1] - apart[0])


def test_ratings_that_cannot_be_judged_are_typed_errors():
    with pytest.raises(DataError, match="for each row"):
        evaluate_ratings(np.zeros(2), np.zeros(3), np.zeros(2), EvaluateConfig())
    with pytest.raises(DataError, match="no rating"):
        evaluate_ratings(np.zeros(0), np.zeros(0), np.zeros(0, int), EvaluateConfig())
    with pytest.raises(DataError, match="diverged"):
        evaluate_ratings(np.array([np.inf]), np.ones(1), np.zeros(1, int), EvaluateConfig())


def test_lists_from_given_items_say_nothing_of_the_catalogue_and_pair_with_none_from_elsewhere():
    lists, truth, histories = world()
    given = Histories.of([np.arange(2, 12)] * len(lists))
    whole, among = judge(lists, truth, histories), judge(lists, truth, histories, among=given)
    assert among.metrics == whole.metrics
    assert whole.beyond
    assert among.beyond == {}
    assert among.judged_on not in (
        whole.judged_on,
        judge(lists, truth, histories, among=Histories.of([np.arange(2, 11)] * len(lists))).judged_on,
    )
