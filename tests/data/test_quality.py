from __future__ import annotations

import io
import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tastemaker.data import quality, splits, synthetic
from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.data.quality import QualityReport, describe
from tastemaker.data.splits import Split, SplitConfig, split
from tastemaker.data.vocabulary import FIRST, Vocabulary

SECOND, DAY = 1_000_000, 86_400_000_000
START = 1_700_000_000 * SECOND
NOW = datetime(2024, 6, 1, tzinfo=UTC)


def dataset(user, item, moment, value=None, kind=None, side=None) -> Dataset:
    """A dataset of user and item numbers from 0 and µs, rows in any order."""
    user, item, moment = (np.asarray(column, np.int64) for column in (user, item, moment))
    order, count = np.lexsort((moment, user)), len(user)
    pick = lambda column, default, dtype: np.asarray(np.full(count, default) if column is None else column, dtype)[order]
    rows = Interactions(
        user=(user[order] + FIRST).astype(np.int32),
        item=(item[order] + FIRST).astype(np.int32),
        time=moment[order],
        value=pick(value, 1, np.float32),
        kind=pick(kind, 0, np.int8),
        side=pick(side, -1, np.int8),
        kinds=("view", "purchase"),
        kind_weights=(1.0, 1.0),
    )
    users, items = (
        Vocabulary([f"{word}{n}" for n in range(int(c.max(initial=-1)) + 1)]) for word, c in (("u", user), ("i", item))
    )
    return Dataset(users, items, rows)


def quiet(num_users: int = 40, length: int = 6):
    """Columns with nothing wrong: everybody an item an hour, everybody another hour."""
    user = np.repeat(np.arange(num_users), length)
    step = np.tile(np.arange(length), num_users)
    return user, (user + step) % 8, START + step * 3_600 * SECOND + user * 7 * SECOND


def codes(report: QualityReport) -> set[str]:
    return {problem.code for problem in report.problems}


def with_rows(user, item, moment) -> Dataset:
    """The quiet data and some rows more."""
    base = quiet()
    return dataset(*(np.concatenate([a, np.asarray(b, np.int64)]) for a, b in zip(base, (user, item, moment), strict=True)))


def test_quiet_data_has_no_problem():
    report = describe(dataset(*quiet()), now=NOW)
    assert report.problems == []
    assert "No problem found." in report.to_text()


def test_counts_are_right():
    report = describe(
        dataset(
            [0, 0, 0, 1, 1, 2],
            [0, 1, 0, 0, 0, 2],
            np.array([1, 2, 2, 5, 5, 8]) * DAY + START,
            value=[1, 2, 3, 3, 3, 5],
            kind=[0, 0, 1, 0, 0, 1],
        ),
        now=NOW,
    )
    assert (report.users, report.items, report.interactions, report.pairs) == (3, 3, 6, 4)
    assert report.density == pytest.approx(4 / 9)
    assert report.kinds == {"view": 4, "purchase": 2}
    assert report.values == {"min": 1.0, "mean": pytest.approx(17 / 6), "max": 5.0, "distinct": 4}
    assert report.times is not None
    assert (report.times.first, report.times.span_days) == ("2023-11-15T22:13:20", 7.0)
    assert report.times.tied_share == pytest.approx(4 / 6)
    assert (report.duplicates, report.repeats, report.consecutive_repeats) == (1, 2, 1)
    assert (report.user_tail.min, report.user_tail.p50, report.user_tail.max, report.user_tail.mean) == (1, 2, 3, 2)
    assert report.user_tail.gini == pytest.approx(2 / 9)  # mean absolute difference 8/9 over twice the mean
    assert report.item_tail.top_share == pytest.approx(4 / 6)


def test_even_heads_have_a_gini_of_zero_and_one_head_with_all_nearly_one():
    assert quality._tail(np.full(50, 7)).gini == pytest.approx(0)
    assert quality._tail(np.array([0] * 99 + [500])).gini == pytest.approx(0.99)
    assert quality._tail(np.array([0] * 99 + [500])).top_share == 1


def test_duplicates_and_repeats_are_told_apart():
    _, _, moments = quiet()
    exact = describe(with_rows([3], [(3 + 2) % 8], [START + 2 * 3_600 * SECOND + 21 * SECOND]), now=NOW)
    assert (exact.duplicates, exact.repeats) == (1, 1)
    assert "duplicates" in codes(exact)
    again = describe(with_rows(np.arange(10), np.arange(10) % 8, [moments.max() + DAY] * 10), now=NOW)
    assert (again.duplicates, again.repeats, again.consecutive_repeats) == (0, 10, 0)
    assert codes(again) == {"repeats"}
    twice = describe(with_rows(np.arange(10), (np.arange(10) + 5) % 8, [moments.max() + DAY] * 10), now=NOW)
    assert codes(twice) == {"repeats", "consecutive_repeats"}


@pytest.mark.parametrize(
    ("reason", "found", "columns"),
    [
        ("busy_day", 400, (np.zeros(400), np.arange(400) % 90, (START // DAY + 3) * DAY + np.arange(400) * 120 * SECOND)),
        ("hammered_item", 60, (np.zeros(60), np.full(60, 50), START + np.arange(60) * 2 * DAY)),
        ("superhuman_speed", 60, (np.zeros(90), np.arange(90), START + 3 * DAY + np.arange(90) * SECOND)),
    ],
)
def test_machines_are_suspected(reason, found, columns):
    report = describe(with_rows(*columns), now=NOW)
    (suspicion,) = (s for s in report.suspicious if s.reason == reason)
    assert suspicion.users == 1
    assert suspicion.events == len(columns[0]) + 6
    assert suspicion.worst == [{"user": "u0", "found": found}]
    assert reason in codes(report)
    assert reason in report.to_text()


def test_a_page_sent_at_once_is_not_superhuman():
    report = describe(with_rows(np.zeros(200), np.arange(200), np.full(200, START + 3 * DAY)), now=NOW)
    assert report.suspicious == []


def test_what_everybody_does_is_not_suspicious():
    user = np.repeat(np.arange(10), 500)
    report = describe(dataset(user, np.tile(np.arange(500), 10), START + np.tile(np.arange(500), 10) * 100 * SECOND), now=NOW)
    assert report.suspicious == []


def test_times_of_a_wrong_unit_are_seen():
    user, item, moment = quiet()
    assert "early_times" in codes(describe(dataset(user, item, moment // 1000), now=NOW))
    assert "future_times" in codes(describe(dataset(user, item, moment * 1000), now=NOW))
    assert "future_times" in codes(describe(dataset(user, item, moment), now=datetime(2023, 11, 1, tzinfo=UTC)))
    report = describe(dataset(user, item, np.zeros(len(user))), now=NOW)
    assert codes(report) == {"no_times"}
    assert report.times is None


def test_too_little_to_rank_is_an_error():
    report = describe(dataset([0, 0, 0], [0, 0, 0], [START, START + DAY, START + 2 * DAY]), now=NOW)
    assert report.problems[0].severity == "error"
    assert report.problems[0].code == "too_small"
    assert "too_small" in codes(describe(dataset([], [], []), now=NOW))


def test_light_users_and_rare_items_are_noted():
    report = describe(dataset(np.arange(60) // 2, np.arange(60), START + np.arange(60) * DAY // 9), now=NOW)
    assert codes(report) == {"light_users", "rare_items"}


def test_leave_last_knows_the_future_and_by_time_does_not():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(50), 8)
    data = dataset(user, rng.integers(0, 12, 400), START + rng.permutation(400) * 3_600 * SECOND)
    leaky = describe(data, split(data, SplitConfig(kind="leave_last")), now=NOW)
    assert "future_leakage" in codes(leaky)
    assert leaky.sides["test"].own_future_users == 0
    random = describe(data, split(data, SplitConfig(kind="by_share")), now=NOW)
    assert {"future_leakage", "own_future"} <= codes(random)
    honest = describe(data, split(data, SplitConfig(kind="by_time")), now=NOW)
    assert not {"future_leakage", "own_future"} & codes(honest)
    assert honest.sides["test"].future_share == 0


def test_the_facts_of_a_side_are_right():
    #            train: user 0 items 0 1, user 1 item 0     test: user 0 item 1 (known), item 3 (cold); user 2 (cold) item 0
    data = dataset(
        [0, 0, 0, 0, 1, 1, 2],
        [0, 1, 1, 3, 0, 2, 0],
        START + np.array([1, 2, 5, 6, 8, 9, 7]) * DAY,
        side=[0, 0, 2, 2, 0, 1, 2],
    )
    report = describe(data, splits.given(data.interactions, generator=np.random.default_rng(0)), now=NOW)
    facts = report.sides["test"]
    assert (report.split, report.train_rows, facts.rows, facts.users) == ("given", 3, 3, 2)
    assert (facts.cold_users, facts.untrained_users) == (1, 1)
    assert (facts.cold_items, facts.cold_item_rows, facts.known_rows) == (1, 1, 1)
    assert facts.future_share == pytest.approx(1 / 3)  # user 1's row is later than both questions
    assert (facts.own_future_users, facts.tie_sensitive) == (0, 0)
    validation = report.sides["validation"]
    assert (validation.rows, validation.cold_items, validation.known_rows) == (1, 1, 0)
    assert {"future_leakage", "known_pairs", "cold_users", "cold_items"} <= codes(report)


def test_ties_across_the_border_are_reported():
    user, item, moment = quiet()
    data = dataset(user, item, moment - moment % DAY)
    report = describe(data, split(data, SplitConfig(kind="leave_last")), now=NOW)
    assert report.sides["test"].tie_sensitive == 40
    assert "timestamp_ties" in codes(report)


def every_problem() -> list[QualityReport]:
    rng = np.random.default_rng(0)
    reports = []
    for kind in ("leave_last", "by_time", "by_share", "by_user"):
        user = np.concatenate([rng.integers(1, 60, 900), np.zeros(700, int)])
        item = np.concatenate([rng.integers(0, 3_000, 900), np.arange(400) % 2, np.full(300, 3)])
        moment = np.concatenate([rng.integers(0, 40, 900) * DAY, np.arange(700) * SECOND]) + START
        data = dataset(user, item, moment)
        reports.append(describe(data, split(data, SplitConfig(kind=kind)), now=NOW))
    small = dataset([0, 0], [0, 0], [5, 5])
    return [*reports, describe(small, now=datetime(1960, 1, 1, tzinfo=UTC)), describe(dataset([0], [0], [0]), now=NOW)]


def test_every_problem_names_a_key_of_the_config_and_no_other_split_key_than_exists():
    reports = every_problem()
    seen = set().union(*map(codes, reports))
    source = Path(quality.__file__).read_text(encoding="utf-8")
    declared = set(re.findall(r'Problem\(\s+"(\w+)"', source)) | set(quality._REASONS)
    assert seen == declared - {"cold_users"}  # seen in the test of the facts of a side
    for problem in (problem for report in reports for problem in report.problems):
        assert re.search(r"\b(data|split)\.\w+", problem.remedy), problem
        for key in re.findall(r"\bsplit\.(\w+)", problem.remedy):
            assert key in SplitConfig.model_fields
        assert "{" not in problem.message + problem.remedy


def test_a_report_is_json_text_and_rich_and_severities_come_in_order():
    world = synthetic.two_tastes()
    report = describe(world.dataset, split(world.dataset, SplitConfig(kind="leave_last")), now=NOW)
    read = json.loads(json.dumps(report.to_dict()))
    assert read["interactions"] == len(world.dataset.interactions)
    assert read["sides"]["test"]["rows"] == 40
    assert {"code", "severity", "message", "remedy"} == set(read["problems"][0])
    text = report.to_text()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 110
    console = Console(record=True, file=io.StringIO(), width=110)
    console.print(report)
    assert "training rows in the future" in console.export_text()
    for each in every_problem():
        order = [("error", "warning", "note").index(problem.severity) for problem in each.problems]
        assert order == sorted(order)


def test_ids_with_markup_are_printed_as_they_are():
    data = with_rows(np.zeros(90), np.arange(90), START + 3 * DAY + np.arange(90) * SECOND)
    odd = Dataset(Vocabulary([f"[red]{n}" for n in range(len(data.users))]), data.items, data.interactions)
    assert "[red]0" in describe(odd, now=NOW).to_text()


@pytest.mark.bench_data
def test_movielens_1m_is_described_in_three_seconds(bench_data):
    table = pq.read_table(bench_data / "movielens-1m" / "interactions.parquet")
    users, items = Vocabulary(np.unique(table["user_id"])), Vocabulary(np.unique(table["item_id"]))
    moment = table["timestamp"].to_numpy().astype(np.int64) * SECOND
    numbers = (users.encode(table["user_id"]) - FIRST, items.encode(table["item_id"]) - FIRST)
    rows = dataset(*numbers, moment, value=table["rating"].to_numpy()).interactions
    data = Dataset(users, items, rows)
    chosen: Split = split(data, SplitConfig(kind="leave_last"))
    start = time.process_time()
    report = describe(data, chosen, now=NOW)
    assert time.process_time() - start < 3
    assert (report.users, report.items, report.interactions, report.duplicates) == (6_040, 3_706, 1_000_209, 0)
    assert report.sides["test"].tie_sensitive == 2_544
    assert codes(report) == {"future_leakage", "timestamp_ties"}
    assert report.suspicious == []
