"""The item's side of rows: a catalogue that changed is encoded as if it had always been so."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.data.features.config import FeaturesConfig, FieldConfig
from tastemaker.data.features.encoded import Bag, Features
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.fitted import Category, Number, Numbers
from tastemaker.data.features.moments import Asked, Moments, MomentsConfig
from tastemaker.data.features.popularity import Snapshot
from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import Vocabulary

OLD = {
    "colour": ["red", "red", "blue", None],
    "tags": ["a|b", "a", "c", ""],
    "price": [1.0, 3.0, 8.0, None],
    "kinds": [["x"], [], ["y", "x"], None],
}
LATER = {"colour": ["green", None], "tags": ["d|a", "b"], "price": [2.0, None], "kinds": [["z", "x"], ["y"]]}


def moments(columns: dict[str, list[object]], ids: list[str]) -> Moments:
    nobody = Snapshot({1: np.zeros(20)})
    return Moments(
        MomentsConfig.parse({"popularity": [1]}), Vocabulary(ids), pa.table(columns), Vocabulary(["u"]), pa.table({}), nobody
    )


def learned() -> tuple[FeatureEncoder, Moments]:
    made = moments(OLD, ["p", "q", "r", "s"])
    table = made.catalogue.append_column("history", pa.array([["p"], ["q", "r"], [], ["s"]]))
    fields = {"history": {"kind": "sequence", "shares": "item"}, "item": {"kind": "category"}}
    return FeatureEncoder.fit(table, FeaturesConfig.parse({"fields": fields})), made


def cells(bag: Bag) -> list[list[int]]:
    return [bag.codes[first:behind].tolist() for first, behind in zip(bag.offsets, bag.offsets[1:], strict=False)]


def same(one: Features, other: Features) -> bool:
    return (
        np.array_equal(one.codes, other.codes)
        and np.array_equal(one.numbers, other.numbers, equal_nan=True)
        and all(cells(a) == cells(b) for a, b in zip(one.bags, other.bags, strict=True))
    )


def test_items_that_are_put_are_encoded_as_if_they_had_always_been_there() -> None:
    encoder, made = learned()
    side = made.item_side(encoder)
    fresh = pa.table({"item": ["q", "new"]} | {f"item.{name}": values for name, values in LATER.items()})
    put = side.put(encoder, np.array([1, 4]), fresh)
    rows = {name: [values[0], LATER[name][0], values[2], values[3], LATER[name][1]] for name, values in OLD.items()}
    whole = moments(rows, ["p", "q", "r", "s", "new"]).item_side(encoder)
    assert same(put.features, whole.features)
    assert (
        put.events is not None
        and whole.events is not None
        and cells(put.events) == cells(whole.events) == [[2], [3], [4], [5], [1]]
    )
    assert len(side) == 4 and side.features.codes[1, 1] == 2  # as it was
    for name, one in put.attributes.items():
        other = whole.attributes[name]
        if one.kind == "number":
            assert np.array_equal(one.codes, other.codes, equal_nan=True)
        else:  # which code a value has means nothing
            mine, theirs = (
                [
                    sorted(np.asarray(attribute.words.take(pa.array(cell, pa.int64()))))
                    for cell in cells(Bag(attribute.codes, attribute.offsets))
                ]
                for attribute in (one, other)
                if attribute.words is not None
            )
            assert mine == theirs


def test_whole_numbers_beside_others_keep_their_meaning() -> None:
    made = moments({"grade": [1.0, 2.0, 1.0, None]}, ["p", "q", "r", "s"])
    grade = made.attributes["grade"]
    assert grade.kind == "categories"
    more = grade.put("grade", np.array([0, 1, 2, 3, 4, 5]), pa.array([1.0, 2.5]))
    assert more.codes.tolist()[:3] == grade.codes.tolist() and more.codes[3] == grade.codes[0] and more.codes[4] > 1


@pytest.mark.parametrize("start", [0, 2, 5])
def test_parts_of_rows_that_share_cells_are_those_of_rows_that_do_not(start: int) -> None:
    bag = Bag(np.array([1, 2, 3, 4], np.int32), np.array([0, 2, 2, 4]), np.array([0, 0, 1, 2, 2, 2]))
    features = Features(np.zeros((6, 0), np.int32), np.zeros((6, 0), np.float32), (), (bag,))
    plain = features.plain()
    assert cells(plain.bags[0]) == [[1, 2], [1, 2], [], [3, 4], [3, 4], [3, 4]]
    part = features.part(start, start + 3)
    assert cells(part.plain().bags[0]) == cells(plain.bags[0])[start : start + 3]
    assert part.bags[0].cells is not None and len(part.bags[0].codes) <= 4


@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_encoded_together_as_they_are_one_by_one(seed: int) -> None:
    draw = np.random.default_rng(seed)
    scales = ["standard", "log", "none", "quantile", "standard"]
    columns = [draw.lognormal(0, 4, 200) * draw.choice([-1, 1], 200) for _ in scales]
    columns[0][::7], columns[1][::5], columns[2][3] = np.nan, np.inf, -np.inf
    fields = [
        Number.fit(f"n{place}", pa.array(column), FieldConfig.parse({"kind": "number", "scale": scale}))
        for place, (scale, column) in enumerate(zip(scales, columns, strict=True))
    ]
    given = [pa.array(columns[0]), *columns[1:4], columns[4].astype(np.float32)]
    together = Numbers(fields).encode(given)
    alone = np.stack([field.encode(column) for field, column in zip(fields, given, strict=True)], axis=1)
    assert together.tobytes() == alone.tobytes()


def test_a_few_words_have_the_codes_of_many() -> None:
    words = pa.array(["red", None, "", "blue", "grey", "red"])
    field = Category.fit("colour", pa.array(["red", "blue", "blue"]), FieldConfig.parse({"kind": "category"}))
    many = pa.concat_arrays([words] * 20)
    assert field.encode(words).tolist() == field.encode(many).tolist()[:6] == [3, 0, 0, 2, 1, 3]
    assert field.encode(words).dtype == field.encode(many).dtype


def test_rows_that_share_cells_are_the_same_rows() -> None:
    encoder, made = learned()
    histories = Histories.of([np.array([2, 3, 1], np.int32), np.zeros(0, np.int32)])
    rows = Asked(
        np.array([1, 1], np.int32), np.array([1, 2]), histories, np.array([2, 3, 4], np.int32), np.array([0, 0, 1]), {}
    )
    one, other = made.features(rows, encoder, share=True), made.features(rows, encoder)
    assert any(bag.cells is not None for bag in one.bags) and all(bag.cells is None for bag in other.bags)
    assert same(one.plain(), other)
