from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.recommend.filters.plain import trees

from tastemaker.errors import FilterError
from tastemaker.recommend.filters.grammar import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, read
from tastemaker.recommend.filters.tree import And, Compare, Field, Not, Or, written


@given(trees)
def test_what_is_written_reads_as_the_same_tree(tree):
    assert read(written(tree)) == tree


@settings(max_examples=120)
@given(st.one_of(st.text(), st.text(alphabet="abIN OTNDR()'\"$.<>=!%,-1eE\n\x00\ud800")))
@example("'" * 4096)
@example("(" * 4096)
@example("NOT " * 1000)
@example("a=1 AND " * 400)
@example("\ud800 = 1")
@example("a = 1e999")
@example("a = " + "9" * 4000)
@example("a" + ".b" * 2000)
def test_any_text_is_read_or_refused(text):
    with suppress(FilterError):
        tree = read(text)
        assert read(written(tree)) == tree


@settings(max_examples=120)
@given(trees, st.data())
def test_a_valid_filter_with_a_slip_is_read_or_refused(tree, data):
    text = written(tree)
    place = data.draw(st.integers(0, len(text)))
    gone = data.draw(st.integers(0, 5))
    put = data.draw(
        st.sampled_from(["", "'", '"', "(", ")", ",", " AND ", " NOT ", "=", "$", ".", "NULL", "\x00", "é", "--", "/*"])
    )
    with suppress(FilterError):
        read(text[:place] + put + text[place + gone :])


def test_and_binds_closer_than_or_and_not_closest():
    a, b, c = (Compare(Field(name), "=", 1.0) for name in "abc")
    assert read("a = 1 OR b = 1 AND c = 1") == Or((a, And((b, c))))
    assert read("NOT a = 1 AND b = 1") == And((Not(a), b))
    assert read("not (a = 1 or b = 1)") == Not(Or((a, b)))


def test_keywords_come_in_any_case_and_names_may_begin_like_them():
    assert read("informed=1 aNd orange=1") == And((Compare(Field("informed"), "=", 1.0), Compare(Field("orange"), "=", 1.0)))
    assert read('"not" = 1') == Compare(Field("not"), "=", 1.0)
    assert read('"a ""b""" = \'it\'\'s\'') == Compare(Field('a "b"'), "=", "it's")
    assert read("größe.cm=.5") == Compare(Field("größe.cm"), "=", 0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["the end at character 1", "a field"]),
        ("a = ", ["the end at character 5", "'text'"]),
        ("a == 1", ["character 4", "single ="]),
        ('a = "x"', ["character 5", "single quotes: 'x'"]),
        ("a = red", ["'red' at character 5", "single quotes: 'red'"]),
        ("a = NULL", ["IS NULL"]),
        ("'x' = a", ["character 1", "begins with its field"]),
        ("a = 'x", ["without its end at character 5"]),
        ("a = 1 && b = 2", ["character 7", "AND, OR, NOT"]),
        ("any = 1", ['double quotes: "any"']),
        ("a = 1)", ["')' at character 6", "the end"]),
        ("(a = 1", ["expected )"]),
        ("a IN ()", ["')' at character 7"]),
        ("a LIKE 5", ["'5' at character 8"]),
        ("a = 1e999", ["1e999 at character 5", "finite"]),
    ],
)
def test_a_refusal_says_where_and_what_was_expected(text, words):
    with pytest.raises(FilterError) as raised:
        read(text)
    assert all(word in str(raised.value) for word in words), raised.value


def test_bounds_are_as_stated():
    read("a = '" + "x" * (MAX_LENGTH - 6) + "'")
    with pytest.raises(FilterError, match="4097 characters"):
        read("a = '" + "x" * (MAX_LENGTH - 5) + "'")
    read("(" * MAX_DEPTH + "a = 1" + ")" * MAX_DEPTH)
    with pytest.raises(FilterError, match=f"levels at character {MAX_DEPTH + 1}"):
        read("(" * (MAX_DEPTH + 1) + "a = 1" + ")" * (MAX_DEPTH + 1))
    with pytest.raises(FilterError, match="levels"):
        read("NOT (" * 17 + "a = 1" + ")" * 17)
    read(" AND ".join(["NOT (a = 1)"] * 100))
    read("a IN (" + ",".join("1" * (MAX_TERMS - 1)) + ")")
    with pytest.raises(FilterError, match="fields and values"):
        read("a IN (" + ",".join("1" * MAX_TERMS) + ")")


def test_reading_takes_time_in_proportion_to_the_text():
    for text in ("'" * 4095, "(" * 4096, "a.b" * 1365, "a = '" + "''" * 2000, '"' * 4095, "a IN (" + "1," * 2000, "1" * 4096):
        start = time.process_time()
        with pytest.raises(FilterError):
            read(text)
        assert time.process_time() - start < 0.5
