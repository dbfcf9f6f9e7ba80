import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, mean_absolute_error, ndcg_score, root_mean_squared_error

from tastemaker.data.interactions import Histories
from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate import metrics

NAMES = sorted(metrics.RANKING)
worlds = st.tuples(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 15))


def random_hits(world: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    seed, users, k = world
    rng = np.random.default_rng(seed)
    hits = rng.random((users, k)) < rng.random()
    return hits, np.maximum(hits.sum(axis=1) + rng.integers(0, 20, users), 1), rng


def random_run(seed: int, users: int = 40, items: int = 60, k: int = 20) -> tuple[np.ndarray, Histories]:
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(items)[:k] + 2 for _ in range(users)])
    truth = [rng.permutation(items)[: rng.integers(1, 30)] + 2 for _ in range(users)]
    return lists, Histories.of(truth)


@pytest.mark.parametrize("name", NAMES)
@given(world=worlds)
@settings(max_examples=50, deadline=None)
def test_values_lie_between_0_and_1(name, world):
    hits, relevant, _ = random_hits(world)
    values = metrics.RANKING[name](hits, relevant)
    assert values.shape == relevant.shape
    assert (values >= 0).all()
    assert (values <= 1 + 1e-12).all()


@pytest.mark.parametrize("name", NAMES)
@given(world=worlds)
@settings(max_examples=50, deadline=None)
def test_moving_a_hit_up_never_hurts(name, world):
    hits, relevant, rng = random_hits(world)
    better = hits.copy()
    for row in better:
        place = rng.integers(0, len(row))
        up = rng.integers(0, place + 1)
        if row[place] and not row[up]:
            row[place], row[up] = False, True
    function = metrics.RANKING[name]
    assert (function(better, relevant) >= function(hits, relevant) - 1e-12).all()


@pytest.mark.parametrize("name", ["ndcg", "map", "mrr"])
def test_moving_the_only_hit_up_helps(name):
    hits = np.eye(5, dtype=bool)
    values = metrics.RANKING[name](hits, np.full(5, 3))
    assert (np.diff(values) < 0).all()


@pytest.mark.parametrize("name", NAMES)
@given(world=worlds)
@settings(max_examples=30, deadline=None)
def test_another_hit_never_hurts(name, world):
    hits, relevant, rng = random_hits(world)
    relevant = np.maximum(relevant, hits.shape[1])
    more = hits | (rng.random(hits.shape) < 0.3)
    function = metrics.RANKING[name]
    assert (function(more, relevant) >= function(hits, relevant) - 1e-12).all()


@pytest.mark.parametrize("name", NAMES)
@given(world=worlds)
@settings(max_examples=30, deadline=None)
def test_users_do_not_influence_each_other(name, world):
    hits, relevant, rng = random_hits(world)
    order = rng.permutation(len(hits))
    function = metrics.RANKING[name]
    np.testing.assert_allclose(function(hits[order], relevant[order]), function(hits, relevant)[order], rtol=1e-13)


@pytest.mark.parametrize("name", ["recall", "hit_rate", "mrr"])
@given(world=worlds)
@settings(max_examples=30, deadline=None)
def test_a_longer_list_never_lowers_recall_hit_rate_and_mrr(name, world):
    hits, relevant, _ = random_hits(world)
    values = [metrics.RANKING[name](hits[:, :k], relevant) for k in range(1, hits.shape[1] + 1)]
    assert (np.diff(values, axis=0) >= 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("relevant", [1, 3, 10, 25])
def test_a_perfect_list_gives_its_known_value(name, relevant):
    k = 10
    hits = (np.arange(k) < relevant)[None]
    value = metrics.RANKING[name](hits, np.array([relevant]))[0]
    expected = {"recall": min(1, k / relevant), "precision": min(1, relevant / k)}.get(name, 1.0)
    assert value == pytest.approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_list_without_hits_gives_0_and_a_user_without_relevant_items_has_no_value(name):
    values = metrics.RANKING[name](np.zeros((2, 4), bool), np.array([3, 0]))
    assert values[0] == 0
    assert np.isnan(values[1])


def test_worked_example():
    hits, relevant = np.array([[False, True, True, False]]), np.array([3])
    found = {name: metrics.RANKING[name](hits, relevant)[0] for name in NAMES}
    gain, ideal = 1 / np.log2(3) + 1 / np.log2(4), 1 + 1 / np.log2(3) + 1 / np.log2(4)
    expected = {
        "hit_rate": 1,
        "recall": 2 / 3,
        "precision": 2 / 4,
        "ndcg": gain / ideal,
        "map": (1 / 2 + 2 / 3) / 3,
        "mrr": 1 / 2,
    }
    assert found == pytest.approx(expected)


def test_equal_to_trec_eval_where_definitions_agree():
    lists, truth = random_run(0)
    hits, relevant = metrics.hits_of(lists, truth)
    users, k = lists.shape
    qrel = {str(u): {str(i): 1 for i in truth.row(u)} for u in range(users)}
    run = {str(u): {str(i): float(k - place) for place, i in enumerate(lists[u])} for u in range(users)}
    names = {"recip_rank", "recall.5,20", "P.5,20", "ndcg_cut.5,20", "map_cut.20", "success.5"}
    trec = pytrec_eval.RelevanceEvaluator(qrel, names).evaluate(run)
    ours = metrics.per_user(
        ["mrr@20", "recall@5", "recall@20", "precision@5", "precision@20", "ndcg@5", "ndcg@20", "map@20", "hit_rate@5"],
        hits,
        relevant,
    )
    ours["map@20"] = ours["map@20"] * np.minimum(relevant, 20) / relevant  # trec_eval divides by R
    theirs = ["recip_rank", "recall_5", "recall_20", "P_5", "P_20", "ndcg_cut_5", "ndcg_cut_20", "map_cut_20", "success_5"]
    for (name, values), other in zip(ours.items(), theirs, strict=True):
        np.testing.assert_allclose(values, [trec[str(u)][other] for u in range(users)], rtol=1e-12, err_msg=name)


def test_equal_to_scikit_learn_where_definitions_agree():
    items = 60
    lists, truth = random_run(1, items=items, k=items)  # the whole catalogue is ranked, so R ≤ k
    hits, relevant = metrics.hits_of(lists, truth)
    for u in range(len(lists)):
        y = np.isin(lists[u], truth.row(u)).astype(float)
        score = -np.arange(items, dtype=float)
        for k in (3, 10):
            assert metrics.ndcg(hits[u : u + 1, :k], relevant[u : u + 1])[0] == pytest.approx(ndcg_score([y], [score], k=k))
        assert metrics.map(hits[u : u + 1], relevant[u : u + 1])[0] == pytest.approx(average_precision_score(y, score))


def test_rating_metrics_equal_scikit_learn():
    rng = np.random.default_rng(0)
    predicted, actual = rng.normal(3, 1, 500), rng.integers(1, 6, 500).astype(float)
    assert metrics.rmse(predicted, actual) == pytest.approx(root_mean_squared_error(actual, predicted))
    assert metrics.mae(predicted, actual) == pytest.approx(mean_absolute_error(actual, predicted))


def test_per_user_errors_pool_to_the_metric():
    rng = np.random.default_rng(0)
    predicted, actual, users = rng.normal(3, 1, 200), rng.normal(3, 1, 200), rng.integers(5, 20, 200)
    distinct, sums = metrics.per_user_errors(predicted, actual, users)
    assert distinct.tolist() == sorted(set(users.tolist()))
    assert np.sqrt(sums["squared"].sum() / sums["rows"].sum()) == pytest.approx(metrics.rmse(predicted, actual))
    assert sums["absolute"][0] / sums["rows"][0] == pytest.approx(
        metrics.mae(predicted[users == distinct[0]], actual[users == distinct[0]])
    )


def test_ratings_that_are_not_numbers_are_refused():
    with pytest.raises(DataError, match="NaN"):
        metrics.rmse(np.array([np.nan]), np.array([1.0]))
    with pytest.raises(DataError, match="a prediction for each value"):
        metrics.mae(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_scorer_gains_nothing(name):
    # lists by ties alone (the lowest codes) on catalogues whose codes are dealt at random, against random lists
    rng = np.random.default_rng(0)
    items, k, worlds = 30, 5, 4000
    truth = np.argsort(rng.random((worlds, items)), axis=1)[:, :3] + 2
    constant = np.tile(np.arange(2, 2 + k), (worlds, 1))
    random = np.argsort(rng.random((worlds, items)), axis=1)[:, :k] + 2
    values = []
    for lists in (constant, random):
        hits, relevant = metrics.hits_of(lists, Histories.of(list(truth)))
        values.append(metrics.RANKING[name](hits, relevant))
    error = np.sqrt(sum(v.var() for v in values) / worlds)
    assert abs(values[0].mean() - values[1].mean()) < 3.5 * error


@given(seed=st.integers(0, 2**31), users=st.integers(1, 8), k=st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_hits_equal_the_definition(seed, users, k):
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(12)[:k] + 2 for _ in range(users)])
    lists[rng.random(lists.shape) < 0.2] = 0
    truth = [rng.integers(1, 14, rng.integers(0, 9)) for _ in range(users)]
    hits, relevant = metrics.hits_of(lists, Histories.of(truth))
    assert relevant.tolist() == [len(set(row.tolist())) for row in truth]
    assert hits.tolist() == [
        [bool(code in set(row.tolist()) and code != 0) for code in line] for line, row in zip(lists, truth, strict=True)
    ]


def test_lists_that_cannot_be_judged_are_refused():
    truth = Histories.of([[2, 3]])
    with pytest.raises(DataError, match="row 0 holds an item twice"):
        metrics.hits_of(np.array([[2, 3, 2]]), truth)
    with pytest.raises(DataError, match="a list for each user"):
        metrics.hits_of(np.array([[2], [3]]), truth)
    with pytest.raises(DataError, match="PAD"):
        metrics.hits_of(np.array([[2]]), Histories.of([[0]]))
    assert not metrics.hits_of(np.array([[0, 0]]), truth)[0].any()


def test_names_are_read_and_wrong_ones_answered():
    assert metrics.parse("ndcg@10") == ("ndcg", 10)
    assert metrics.parse("rmse") == ("rmse", None)
    with pytest.raises(ConfigError, match="did you mean 'ndcg'"):
        metrics.parse("ndgc@10")
    for wrong in ("ndcg@", "ndcg@0", "ndcg@-1", "ndcg@ten", "rmse@5"):
        with pytest.raises(ConfigError, match="expected"):
            metrics.parse(wrong)
    hits = np.zeros((1, 5), bool)
    with pytest.raises(ConfigError, match="a cut of 1…5"):
        metrics.per_user(["ndcg@6"], hits, np.array([1]))
    with pytest.raises(ConfigError, match="a cut of 1…5"):
        metrics.per_user(["ndcg"], hits, np.array([1]))


def test_errors_are_lower_is_better():
    assert metrics.lower_is_better("rmse")
    assert not metrics.lower_is_better("ndcg@10")
