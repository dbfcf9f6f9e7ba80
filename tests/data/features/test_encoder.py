"""Fields are learned from training rows alone, and a row is the same numbers wherever it is encoded."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.data.features.config import FeaturesConfig
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.errors import ArtifactError, ConfigError, DataError


def fitted(table: dict[str, Any], **config: Any) -> FeatureEncoder:
    return FeatureEncoder.fit(pa.table(table), FeaturesConfig.parse(config))


def kinds(encoder: FeatureEncoder) -> dict[str, str]:
    return {field.name: field.schema.kind for field in encoder.fields}


def same(one: Any, other: Any) -> bool:
    bags = all(
        np.array_equal(a.codes, b.codes) and np.array_equal(a.offsets, b.offsets)
        for a, b in zip(one.bags, other.bags, strict=True)
    )
    vectors = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one.vectors, other.vectors, strict=True))
    return (
        bags
        and vectors
        and np.array_equal(one.codes, other.codes)
        and np.array_equal(one.numbers, other.numbers, equal_nan=True)
    )


EVERYTHING: dict[str, Any] = {
    "colour": ["red", "blue", None, "red"],
    "size": [1, 2, 2, 3],
    "price": [1.5, None, 9.25, 4.0],
    "tags": [["a", "b"], [], None, ["b"]],
    "seen": [["red"], ["blue", "green", "red"], [], None],
    "image": [[1.0, 2.0], [0.5, 0.5], None, [2.0, 1.0]],
    "at": [datetime.datetime(2024, 1, day, 12, tzinfo=datetime.UTC) for day in (1, 2, 3, 4)],
}
OPTIONS: dict[str, Any] = {
    "fields": {"seen": {"kind": "sequence", "shares": "colour"}, "price": {"scale": "log"}},
    "crosses": [["colour", "size"]],
}


def test_each_column_becomes_what_it_is() -> None:
    encoder = fitted(EVERYTHING, **OPTIONS)
    assert kinds(encoder) == {
        "colour": "category",
        "size": "category",
        "price": "number",
        "tags": "bag",
        "seen": "sequence",
        "image": "vector",
        "at": "vector",
        "colour × size": "category",
    }
    assert next(field for field in encoder.schema if field.name == "seen").shares == "colour"


def test_missing_is_0_unknown_is_1_and_the_most_frequent_comes_first() -> None:
    encoder = fitted({"colour": ["red", "blue", "red", "blue", "blue", None], "other": [1, 2, 1, 2, 1, 2]})
    found = encoder.encode(pa.table({"colour": ["blue", "red", "green", None, ""], "other": [1, 1, 1, 1, 1]}))
    assert found.codes[:, 0].tolist() == [2, 3, 1, 0, 0]


def test_rare_categories_are_unknown() -> None:
    encoder = fitted({"c": ["a", "a", "b", "b", "c"], "d": [1, 2, 1, 2, 1]}, min_count=2)
    assert encoder.encode(pa.table({"c": ["a", "c"], "d": [1, 1]})).codes[:, 0].tolist() == [2, 1]


def test_a_number_has_mean_0_and_deviation_1_in_training_and_outliers_are_cut_off() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(50, 10, 1000)
    encoder = fitted({"x": values})
    found = encoder.encode(pa.table({"x": values})).numbers[:, 0]
    assert abs(found.mean()) < 1e-5
    assert abs(found.std() - 1) < 1e-5
    assert encoder.encode(pa.table({"x": [1e30, -1e30, float("nan"), None]})).numbers[:, 0].tolist()[:2] == [8.0, -8.0]
    assert np.isnan(encoder.encode(pa.table({"x": [float("inf"), float("nan"), None]})).numbers).all()


@pytest.mark.parametrize("scale", ["log", "quantile", "standard", "none"])
def test_scales_keep_the_order_of_numbers(scale: str) -> None:
    values = np.sort(np.random.default_rng(1).lognormal(0, 2, 500))
    found = fitted({"x": values}, fields={"x": {"scale": scale}}).encode(pa.table({"x": values})).numbers[:, 0]
    assert (np.diff(found) >= 0).all()
    assert found[-1] > found[0]


def test_quantiles_are_spread_evenly_whatever_the_values() -> None:
    values = np.random.default_rng(2).lognormal(0, 3, 5000)
    found = fitted({"x": values}, fields={"x": {"scale": "quantile"}}).encode(pa.table({"x": values})).numbers[:, 0]
    assert abs(np.quantile(found, 0.25) + np.sqrt(3) / 2) < 0.02  # of a uniform of deviation 1


def test_buckets_are_equally_full() -> None:
    values = np.random.default_rng(3).normal(size=8000)
    encoder = fitted({"x": values}, fields={"x": {"scale": "buckets", "buckets": 8}})
    counts = np.bincount(encoder.encode(pa.table({"x": values})).codes[:, 0], minlength=10)
    assert counts[:2].tolist() == [0, 0]
    assert counts[2:].min() > 990
    assert encoder.encode(pa.table({"x": [None, -1e9, 1e9]})).codes[:, 0].tolist() == [0, 2, 9]


def test_a_time_lies_on_circles() -> None:
    day = 86_400
    times = [1_700_000_000, 1_700_000_000 + day, 1_700_000_000 + 7 * day, None]
    found = fitted({"at": times}, fields={"at": {"kind": "time"}}).encode(pa.table({"at": times})).vectors[0]
    np.testing.assert_allclose(found[0, :2], found[1, :2], atol=1e-5)  # the same hour
    np.testing.assert_allclose(found[0, 2:4], found[2, 2:4], atol=1e-5)  # the same weekday
    np.testing.assert_allclose(np.square(found[0].reshape(3, 2)).sum(1), 1, atol=1e-5)
    assert np.isnan(found[3]).all()


@pytest.mark.parametrize(
    "times",
    [
        [1_700_000_000, 1_700_086_400],
        [1_700_000_000_000, 1_700_086_400_000],
        ["2023-11-14T22:13:20Z", "2023-11-15T22:13:20Z"],
        ["2023-11-14 22:13:20", "2023-11-15 22:13:20"],
        [datetime.datetime(2023, 11, 14, 22, 13, 20), datetime.datetime(2023, 11, 15, 22, 13, 20)],
    ],
    ids=["seconds", "milliseconds", "zone", "text", "datetime"],
)
def test_times_are_read_in_every_usual_form(times: list[Any]) -> None:
    known = fitted({"at": [1_700_000_000, 1_700_086_400]}, fields={"at": {"kind": "time"}})
    expected = known.encode(pa.table({"at": [1_700_000_000, 1_700_086_400]})).vectors[0]
    encoder = fitted({"at": times}, fields={"at": {"kind": "time"}})
    np.testing.assert_allclose(encoder.encode(pa.table({"at": times})).vectors[0], expected, atol=1e-5)


def test_a_sequence_keeps_the_newest_and_categories_the_first() -> None:
    table = {"item": ["a", "b", "c", "d"], "h": [["a", "b", "c"], ["d"], [], None]}
    both = {"kind": "sequence", "shares": "item", "max_length": 2}
    newest = fitted(table, fields={"h": both}).encode(pa.table(table))
    assert newest.bags[0].offsets.tolist() == [0, 2, 3, 3, 3]
    assert newest.bags[0].codes.tolist() == [newest.codes[1, 0], newest.codes[2, 0], newest.codes[3, 0]]
    first = fitted(table, fields={"h": both | {"kind": "categories"}}).encode(pa.table(table))
    assert first.bags[0].codes[:2].tolist() == [first.codes[0, 0], first.codes[1, 0]]


def test_text_with_a_separator_is_several_values() -> None:
    genres = ["Action|Comedy", "Comedy", "Action|Drama", "Drama|Comedy", "Action|Comedy|Drama", "Comedy|Action"] * 20
    encoder = fitted({"genres": genres, "x": np.arange(120) / 7})
    assert kinds(encoder)["genres"] == "bag"
    assert len(encoder.encode(pa.table({"genres": ["Action | Drama", "", None], "x": [1.0, 1.0, 1.0]})).bags[0].codes) == 2


def test_a_cross_is_missing_where_a_part_is_and_unknown_where_training_had_no_such_pair() -> None:
    table = {"a": ["x", "x", "y"], "b": [1, 2, 1]}
    encoder = fitted(table, crosses=[["a", "b"]])
    found = encoder.encode(pa.table({"a": ["x", "x", "y", "y", None], "b": [1, 2, 1, 2, 1]})).codes[:, 2]
    assert len(set(found[:3].tolist())) == 3
    assert found[3:].tolist() == [1, 0]


def test_row_numbers_constants_and_free_text_are_not_read_and_it_is_said() -> None:
    words = [f"a long text about thing {n} and much more of it" for n in range(100)]
    encoder = fitted({"row": np.arange(1000, 1100), "same": ["x"] * 100, "text": words, "x": np.arange(100) / 3})
    assert encoder.columns == ("x",)
    assert sum("not read" in note for note in encoder.notes) == 3


def test_the_settled_config_gives_the_same_fields_again() -> None:
    encoder = fitted(EVERYTHING, **OPTIONS)
    again = FeatureEncoder.fit(pa.table(EVERYTHING), encoder.config)
    assert again.schema == encoder.schema
    assert again.notes == ()
    assert same(again.encode(pa.table(EVERYTHING)), encoder.encode(pa.table(EVERYTHING)))


def test_a_saved_encoder_encodes_alike(tmp_path: Path) -> None:
    encoder = fitted(EVERYTHING, **OPTIONS)
    encoder.save(tmp_path / "features.arrow")
    again = FeatureEncoder.load(tmp_path / "features.arrow")
    assert again.schema == encoder.schema
    assert again.config == encoder.config
    assert same(again.encode(pa.table(EVERYTHING)), encoder.encode(pa.table(EVERYTHING)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_rows_are_encoded_one_by_one_as_all_at_once(rows: list[int]) -> None:
    encoder = fitted(EVERYTHING, **OPTIONS)
    whole = encoder.encode(pa.table(EVERYTHING))
    assert same(encoder.encode(pa.table(EVERYTHING).take(rows)), whole.take(np.array(rows)))


def test_a_value_of_another_type_is_the_same_value() -> None:
    encoder = fitted({"n": [1, 2, 3, 1], "t": ["1", "2", "x", "1"]})
    found = encoder.encode(pa.table({"n": ["1", "2", "oh"], "t": [1, 2, 3]})).codes
    expected = encoder.encode(pa.table({"n": [1, 2, 77], "t": ["1", "2", "3"]})).codes
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("config", "error", "said"),
    [
        ({"fields": {"colr": {"kind": "category"}}}, ConfigError, "no column 'colr'"),
        ({"leave_out": ["nothing"]}, ConfigError, "no column 'nothing'"),
        ({"fields": {"colour": {"kind": "number"}}}, DataError, "numbers"),
        ({"fields": {"colour": {"kind": "sequence"}}}, DataError, "separator"),
        ({"fields": {"tags": {"kind": "sequence", "shares": "price"}}}, ConfigError, "category column"),
        ({"crosses": [["colour", "price"]]}, ConfigError, "'price' is number"),
        ({"leave_out": list(EVERYTHING)}, DataError, "no column to learn from"),
    ],
)
def test_what_cannot_be_is_said(config: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        fitted(EVERYTHING, **config)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="no column 'size'"):
        fitted(EVERYTHING).encode(pa.table(EVERYTHING).drop_columns(["size"]))


def test_a_damaged_file_is_an_artifact_error(tmp_path: Path) -> None:
    (tmp_path / "features.arrow").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="cannot read"):
        FeatureEncoder.load(tmp_path / "features.arrow")


def test_training_values_alone_decide() -> None:
    encoder = fitted({"x": [1.0, 2.0, 3.0], "c": ["a", "b", "a"]})
    before = encoder.encode(pa.table({"x": [2.5], "c": ["a"]}))
    after = encoder.encode(pa.table({"x": [2.5, 1e6], "c": ["a", "z"]}))
    assert same(before, after.take(np.array([0])))


def test_a_vector_far_beyond_training_is_cut_off_and_one_of_large_numbers_is_not() -> None:
    table = pa.table({"text": pa.array([[300.0, 400.0], [-300.0, 400.0]])})
    encoder = FeatureEncoder.fit(table, FeaturesConfig.parse({"fields": {"text": {"kind": "vector"}}}))
    (found,) = encoder.encode(pa.table({"text": pa.array([[300.0, 400.0], [1e30, -1e30], [None, 0.0], None])})).vectors
    scale = np.sqrt((300.0**2 + 400.0**2) / 2)
    np.testing.assert_allclose(found[0], np.array([300.0, 400.0]) / scale, rtol=1e-6)
    np.testing.assert_allclose(found[1], [8 * 2**0.5, -8 * 2**0.5], rtol=1e-6)
    assert np.isnan(found[2]).tolist() == [True, False] and np.isnan(found[3]).all()


@pytest.mark.parametrize("kind", ["category", "number"])
def test_a_position_is_read_when_learned_from_and_never_when_asked(kind: str, tmp_path: Path) -> None:
    table = pa.table({"item": ["a", "b", "c", "a"], "rank": pa.array([3, 1, 2, None])})
    config = FeaturesConfig.parse({"position": "rank", "fields": {"rank": {"kind": kind}}, "crosses": []})
    encoder = FeatureEncoder.fit(table, config)
    assert encoder.config.position_served == 1
    assert encoder.columns == ("item",)
    encoder.save(tmp_path / "features.arrow")
    encoder = FeatureEncoder.load(tmp_path / "features.arrow")
    shown, asked = encoder.encode(table, shown=True), encoder.encode(table)
    read = [one.codes[:, 1] if kind == "category" else one.numbers[:, 0] for one in (shown, asked)]
    assert len(np.unique(read[0][:3])) == 3
    assert (read[0][3] == 0) if kind == "category" else np.isnan(read[0][3])
    assert (read[1] == read[0][1]).all()
    for other in (table.drop_columns("rank"), table.set_column(1, "rank", pa.array(["no", "number", "at", "all"]))):
        again = encoder.encode(other)
        assert np.array_equal(again.codes, asked.codes) and np.array_equal(again.numbers, asked.numbers)
    assert len(encoder.encode(table.slice(0, 0))) == 0
    with pytest.raises(DataError, match="no column 'rank'"):
        encoder.encode(table.drop_columns("rank"), shown=True)


def test_a_cross_with_the_position_is_that_of_the_fixed_one() -> None:
    table = pa.table({"item": ["a", "b", "a", "b"], "rank": [1, 1, 2, 2]})
    config = FeaturesConfig.parse({"position": "rank", "position_served": 2, "crosses": [["item", "rank"]]})
    encoder = FeatureEncoder.fit(table, config)
    shown, asked = encoder.encode(table, shown=True).codes, encoder.encode(table).codes
    assert (asked[:2] == shown[2:]).all() and (asked[2:] == shown[2:]).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"position_served": 1.0}, "position where position_served is set"),
        ({"position": "rank", "leave_out": ["rank"]}, "not in both"),
        ({"position": "rank", "fields": {"rank": {"kind": "vector"}}}, "a category or number as position"),
    ],
)
def test_positions_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        FeaturesConfig.parse(settings, "features")


def test_a_position_that_is_not_there_is_refused() -> None:
    table = pa.table({"item": ["a", "b"], "rank": pa.array([None, None], pa.int64())})
    with pytest.raises(ConfigError, match=r"features.position: no column 'place'"):
        FeatureEncoder.fit(table, FeaturesConfig.parse({"position": "place"}))
    with pytest.raises(DataError, match="no position in 'rank'"):
        FeatureEncoder.fit(table, FeaturesConfig.parse({"position": "rank"}))
