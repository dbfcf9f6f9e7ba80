"""The rows that ranking models and their peers are compared on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.ctr import frappe_rows

DIGESTS = {
    "drawn": "17378f47f9a591fb3fbe77bd09dbba2c1f28c40889b7e37a6ef27589792b00ac",
    "published": "110f87fb673b1c72cdefdd59a29a8e9be6d231c2405da9ccd8ce830d8326e4b2",
}


@pytest.fixture(scope="module", params=["drawn", "published"])
def how(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def made(bench_data: Path, how: str) -> dict[str, pa.Table]:
    if not (bench_data / "frappe").is_dir():
        pytest.skip(f"no frappe in {bench_data}; set TASTEMAKER_BENCH_DATA")
    return frappe_rows.parts(bench_data, how=how)


@pytest.fixture
def rows() -> np.ndarray:
    """Two users; columns: user, item, one field of the context."""
    return np.array([[0, 0, 7], [0, 0, 8], [0, 1, 7], [1, 2, 8], [0, 0, 7]])


def test_a_user_gets_two_negatives_a_row_in_its_context_and_each_app_once(rows):
    drawn = frappe_rows.negatives(rows, 12, np.random.default_rng(0))
    contexts = sorted(map(tuple, drawn[:, [0, 2]]))
    assert contexts == sorted(2 * [(0, 7), (0, 8), (0, 7), (1, 8), (0, 7)])
    assert len({tuple(pair) for pair in drawn[:, :2]}) == len(drawn) == 10
    assert not {tuple(pair) for pair in rows[:, :2]} & {tuple(pair) for pair in drawn[:, :2]}


def test_given_negatives_count_for_their_context_and_are_not_drawn_again(rows):
    given = np.array([[0, 4, 7], [0, 5, 7], [1, 0, 8]])
    drawn = frappe_rows.negatives(rows, 12, np.random.default_rng(0), given)
    both = np.concatenate([drawn, given])
    assert sorted(map(tuple, both[:, [0, 2]])) == sorted(2 * [(0, 7), (0, 8), (0, 7), (1, 8), (0, 7)])
    assert len({tuple(pair) for pair in both[:, :2]}) == len(both)


def test_a_given_negative_of_an_unknown_context_is_refused(rows):
    with pytest.raises(ValueError, match="do not occur often enough"):
        frappe_rows.negatives(rows, 12, np.random.default_rng(0), np.array([[1, 0, 7]]))


def test_a_user_who_used_nearly_everything_is_refused(rows):
    with pytest.raises(ValueError, match="user code 0 needs 8 negatives, 5 items were never used"):
        frappe_rows.negatives(rows, 7, np.random.default_rng(0))


def test_equal_seeds_give_the_very_rows_and_other_seeds_others(bench_data, made, how):
    assert frappe_rows.digest(made) == DIGESTS[how]
    if how == "drawn":
        assert frappe_rows.digest(frappe_rows.parts(bench_data, seed=1)) != DIGESTS[how]


def test_sizes_are_the_published_ones_and_a_third_is_positive(made):
    assert {name: len(table) for name, table in made.items()} == frappe_rows.PARTS
    assert sum(table["label"].to_numpy().sum() for table in made.values()) == 96_203


def test_positives_are_the_usage_rows_and_no_negative_is_an_app_its_user_ever_used(bench_data, made):
    whole = pa.concat_tables(made.values())
    labels = whole["label"].to_numpy()
    lines = list(zip(*(whole[name].to_pylist() for name in frappe_rows.FIELDS), strict=True))
    used = pq.read_table(bench_data / "frappe" / "usage.parquet").rename_columns({"user_id": "user", "item_id": "item"})
    expected = zip(*(map(str, used[name].to_pylist()) for name in frappe_rows.FIELDS), strict=True)
    assert sorted(line for line, label in zip(lines, labels, strict=True) if label) == sorted(expected)
    pairs = {line[:2] for line, label in zip(lines, labels, strict=True) if label}
    negatives = [line[:2] for line, label in zip(lines, labels, strict=True) if not label]
    assert len(set(negatives)) == len(negatives) == 2 * 96_203
    assert not pairs & set(negatives)


@pytest.mark.parametrize("how", ["published"], scope="module")
def test_published_parts_are_the_published_rows(bench_data, made):
    given = pq.read_table(bench_data / "frappe" / "nfm_test.parquet")
    np.testing.assert_array_equal(made["test"]["label"].to_numpy() == 1, given["label"].to_numpy() == 1)
    assert made["train"]["label"].to_numpy().sum() == 67_604  # as the logs of BARS count them
