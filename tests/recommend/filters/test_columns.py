from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.errors import FilterError
from tastemaker.recommend.filters import Columns, parse
from tastemaker.recommend.filters.columns import MAX_FIELDS, Column


def test_labels_are_list_elements_or_the_value():
    columns = Columns.of([{"c": ["a", "b"]}, {"c": "b"}, {}, {"c": 2}, {"c": True}, {"c": 2.0}, {"c": []}, {"c": 3}])
    offsets, values = columns.labels("c")
    assert np.diff(offsets).tolist() == [2, 1, 0, 1, 1, 1, 0, 1]
    a, b, again, two, true, two_again, three = values.tolist()
    assert (b, two) == (again, two_again)
    assert len({a, b, two, true, three}) == 5


def test_what_no_column_can_hold_is_missing():
    rows = [{"x": None}, {"x": float("nan")}, {"x": {"y": 1}}, {"x": [None, [1], {}]}, {"x": 10**400}, {"x": "\ud800"}]
    columns = Columns.of(rows)
    assert parse("x IS NULL").mask(columns).tolist() == [True, True, True, False, False, False]
    assert parse("x > 1e300").mask(columns).tolist() == [False, False, False, False, True, False]


def test_older_columns_do_not_see_what_came_later():
    old = Columns.of([{"x": "a"}, {"x": ["a"]}])
    new = old.extended([{"x": ["b", "c"], "y": 1}]).replaced({0: {"x": "b"}})
    assert parse("x = 'b'").mask(old).tolist() == [False, False]
    assert parse("x = 'b'").mask(new).tolist() == [True, False, True]
    assert parse("x = 'a'").mask(old).tolist() == [True, True]
    assert parse("x LIKE '%a%'").mask(new).tolist() == [False, True, False]
    with pytest.raises(FilterError):
        parse("y = 1").mask(old)


def test_a_replaced_row_loses_what_it_does_not_bring():
    columns = Columns.of([{"x": 1, "y": ["a"]}, {"x": 2, "y": ["b"]}]).replaced({0: {"x": 5}})
    assert parse("y IS NULL").mask(columns).tolist() == [True, False]
    assert parse("x = 5").mask(columns).tolist() == [True, False]


def test_fields_are_known_without_any_item_that_has_them():
    columns = Columns.of([{}], fields=["categories"])
    assert parse("category = 'a'").mask(columns).tolist() == [False]


def test_the_number_of_columns_is_bounded():
    columns = Columns.of([{f"p{number}": 1 for number in range(MAX_FIELDS + 50)}])
    assert len(columns.fields) == MAX_FIELDS
    assert parse("p0 = 1").mask(columns).tolist() == [True]


def test_threads_that_derive_from_one_version_agree_on_words():
    base, results = Columns.of([{"x": "first"}]), {}

    def derive(number: int) -> None:
        columns = base
        for step in range(200):
            columns = columns.extended([{"x": f"{(step * 7 + number) % 200}"}])
        results[number] = columns

    threads = [threading.Thread(target=derive, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for columns in results.values():
        assert all(parse("x = $v").mask(columns, {"v": str(value)}).sum() == 1 for value in range(200))


def test_a_large_catalogue_is_laid_out_in_seconds_and_changed_in_milliseconds():
    rng = np.random.default_rng(0)
    count = 50_000
    numbers = rng.integers(0, 50, (count, 3)).tolist()
    rows = [
        {"categories": [f"c{a}", f"c{b}"], "brand": f"b{c}", "price": a + b / 7, "title": f"thing {place}", "sale": a > 9}
        for place, (a, b, c) in enumerate(numbers)
    ]
    start = time.process_time()
    columns = Columns.of(rows)
    assert time.process_time() - start < 6
    start = time.process_time()
    changed = columns.replaced({7: rows[8], 90: {}}).extended(rows[:3])
    assert time.process_time() - start < 0.5
    assert parse("title = 'thing 8'").mask(changed).nonzero()[0].tolist() == [7, 8]


_SCALARS = st.one_of(st.text(max_size=2), st.booleans(), st.integers(-(10**400), 10**400), st.floats(), st.none())
_CELLS = st.one_of(_SCALARS, st.lists(_SCALARS, max_size=4), st.lists(st.sampled_from("abc"), max_size=4))


@given(
    st.one_of(
        st.lists(_CELLS),
        st.lists(st.sampled_from("abc")),
        st.lists(st.integers(-(10**400), 10**400) | st.floats()),
        st.lists(st.lists(st.sampled_from("abc"), max_size=4)),
    )
)
def test_cells_of_one_type_are_laid_out_as_they_are_among_others(cells):
    alone = Column.of(cells)
    mixed = Column.of([*cells, {"neither": "text nor number nor list"}])
    assert (alone.codes.tolist(), alone.words.values) == (mixed.codes[:-1].tolist(), mixed.words.values)
    assert (alone.offsets.tolist(), alone.tokens.tolist()) == (mixed.offsets[:-1].tolist(), mixed.tokens.tolist())
    np.testing.assert_array_equal(alone.numbers, mixed.numbers[:-1])
