import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from rich.console import Console

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST
from tastemaker.evaluate import coldness, metrics
from tastemaker.evaluate.evaluator import EvaluateConfig, evaluate_ranking
from tastemaker.evaluate.report import Report
from tastemaker.evaluate.significance import compare

COUNTS = np.array([0, 0, 40, 9, 8, 6, 5, 4, 1, 0, 0, 0])  # items 2…5 are known well, 6…8 a little, 9…11 not at all
CONFIG = EvaluateConfig(ks=(4,), bootstrap=50)


def world(users: int = 80, seed: int = 0):
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(np.arange(2, 12))[:4] for _ in range(users)])
    cold = np.stack([np.append(rng.permutation(np.arange(9, 12)), 0) for _ in range(users)])
    truth = Histories.of([rng.choice(np.arange(2, 12), rng.integers(0, 5), replace=False) for _ in range(users)])
    return lists, cold, truth, rng.integers(0, 12, users)


def judge(lists, cold, truth, lengths, config=CONFIG, **more) -> Report:
    return evaluate_ranking(
        lists, truth, COUNTS, lengths, config, among_lists={} if cold is None else {coldness.AMONG_COLD: cold}, **more
    )


@given(seed=st.integers(0, 1000), users=st.integers(12, 60))
@profile(max_examples=25, deadline=None)
def test_parts_hold_every_question_once(seed, users):
    _, _, truth, lengths = world(users, seed)
    asked = np.flatnonzero(truth.lengths)
    truth, lengths = truth.take(asked), lengths[asked]
    found = coldness.parts(truth, COUNTS, lengths)
    for kind in ("users", "items"):
        inside = {name: part for name, part in found.items() if name.startswith(kind)}
        assert sum(part.lengths.sum() for _, part in inside.values()) == truth.lengths.sum()
        for rows, part in inside.values():
            assert (part.lengths > 0).all()
            assert all(set(part.row(place)) <= set(truth.row(row)) for place, row in enumerate(rows))
    everyone = np.concatenate([rows for name, (rows, _) in found.items() if name.startswith("users")])
    assert sorted(everyone) == list(range(len(truth)))
    for name, low, high in (("cold", 0, 0), ("few", 1, 5), ("many", 6, 99)):
        items = found[f"items/{name}"][1].items if f"items/{name}" in found else np.zeros(0, int)
        assert ((COUNTS[items] >= low) & (COUNTS[items] <= high)).all()
    if "both/cold" in found:
        rows, part = found["both/cold"]
        assert (lengths[rows] == 0).all()
        assert (COUNTS[part.items] == 0).all()


def test_a_part_is_judged_as_if_it_were_all_there_is():
    lists, cold, truth, lengths = world()
    report = judge(lists, cold, truth, lengths)
    names = {"cold", "few", "many", "cold_among_cold"}
    assert set(report.parts) == {f"items/{name}" for name in names} | {"users/new", "users/few", "users/many", "both/cold"}
    wanted = truth.where(COUNTS[truth.items] == 0)
    for name, ordered in (("items/cold", lists), ("items/cold_among_cold", cold)):
        hits, relevant = metrics.hits_of(ordered, wanted)
        part = report.parts[name]
        assert part.counts == {"users_asked": (relevant > 0).sum(), "targets": relevant.sum()}
        assert part.metrics["recall@4"] == pytest.approx(np.nanmean(metrics.recall(hits, relevant)))
        low, high = part.intervals["recall@4"]
        assert low < part.metrics["recall@4"] < high or part.metrics["recall@4"] == 1
    assert report.parts["items/cold_among_cold"].metrics["recall@4"] == 1  # there are three cold items and four places
    assert report.parts["items/cold"].metrics["recall@4"] == pytest.approx(report.segments["items/cold"]["recall@4"])
    assert report.parts["users/new"].metrics["map@4"] == pytest.approx(report.segments["users/new"]["map@4"])


def test_parts_are_told_apart_where_that_says_something():
    lists, cold, truth, lengths = world()
    assert judge(lists, cold, truth, lengths, EvaluateConfig(ks=(4,), bootstrap=0, coldness=False)).parts == {}
    few = truth.take(np.arange(9))  # nine users at most ask for a cold item
    assert judge(lists[:9], None, few, lengths[:9]).parts == {}
    assert "users/many" in judge(lists[:9], None, few, lengths[:9], EvaluateConfig(ks=(4,), bootstrap=0, coldness=True)).parts
    assert not coldness.told_apart(None, Histories.of([[9]] * 200_001), COUNTS)
    assert coldness.told_apart(None, Histories.of([[9]] * 10), COUNTS)
    candidates = {name: codes.tolist() for name, (_, _, codes) in coldness.among(truth, COUNTS).items()}
    assert candidates["items/cold_among_cold"] == [9, 10, 11]
    assert candidates["items/few_among_few"] == [6, 7, 8]
    assert candidates["items/warm_among_warm"] == [*range(FIRST, 9)]


def test_parts_come_back_from_the_folder_and_are_paired(tmp_path):
    lists, cold, truth, lengths = world()
    better = np.where(np.arange(4) < 3, np.sort(cold)[:, ::-1], 2)  # all cold items on top
    reports = {"random": judge(lists, cold, truth, lengths), "cold first": judge(better, cold, truth, lengths)}
    for name, report in reports.items():
        report.save(tmp_path, name)
    again = {name: Report.load(tmp_path, name) for name in reports}
    for name, report in again.items():
        assert report.to_dict() == reports[name].to_dict()
        for part, inner in report.parts.items():
            assert inner.users.tolist() == reports[name].parts[part].users.tolist()
            assert inner.per_user.keys() == reports[name].parts[part].per_user.keys()
    comparison = compare(again)
    assert set(comparison.parts) == set(reports["random"].parts)
    row = comparison.parts["items/cold"].of("recall@4")[1]
    assert row.verdict == "better"
    assert row.difference == pytest.approx(1 - reports["random"].parts["items/cold"].metrics["recall@4"])
    assert comparison.parts["items/cold_among_cold"].of("recall@4")[1].difference == 0
    assert comparison.to_dict()["parts"]["items/cold"]["users"] == len(reports["random"].parts["items/cold"].users)
    shown = io.StringIO()
    Console(file=shown, width=150).print(comparison, again["random"])
    for word in ("items/cold_among_cold", "both/cold", "by coldness", "recall@4"):
        assert word in shown.getvalue()


def test_parts_ranked_among_other_cold_items_are_not_paired():
    lists, cold, truth, lengths = world()
    first, counts = judge(lists, cold, truth, lengths), COUNTS.copy()
    counts[10] = 1
    other = evaluate_ranking(
        lists, truth, counts, lengths, CONFIG, among_lists={} if cold is None else {coldness.AMONG_COLD: cold}
    )
    pairs = compare({"first": first, "other": other}).parts
    assert "items/cold" not in pairs
    assert "items/cold_among_cold" not in pairs
    assert "users/many" in pairs


def test_warm_items_are_ranked_among_themselves_too():
    lists, _, truth, lengths = world()
    rng = np.random.default_rng(1)
    warm = np.stack([rng.permutation(np.arange(FIRST, 9))[:4] for _ in range(len(lists))]).astype(np.int32)
    report = evaluate_ranking(lists, truth, COUNTS, lengths, CONFIG, among_lists={coldness.AMONG_WARM: warm})
    assert "items/cold_among_cold" not in report.parts
    hits, relevant = metrics.hits_of(warm, truth.where(COUNTS[truth.items] > 0))
    part = report.parts["items/warm_among_warm"]
    assert part.counts["targets"] == relevant.sum()
    assert part.metrics["recall@4"] == pytest.approx(np.nanmean(metrics.recall(hits, relevant)))
