"""What a text is, whatever a catalogue holds."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.data.texts import clean, joined, pieces, texts_of, words
from tastemaker.errors import DataError


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("plain", "plain"),
        ("<p>Soft<br/>cover</p>", "Soft cover"),
        ("un<b>believ</b>able", "unbelievable"),
        ('<a href="x?a=1&amp;b=2">Read</a> &lt;3 &amp; more', "Read <3 & more"),
        ("&lt;b&gt;twice&lt;/b&gt; &amp;amp; again", "twice & again"),
        ("<script>var a = '<b>';</script>kept<style>p{}</style><!-- gone -->", "kept"),
        ("<!-- never closed", ""),
        ("a < b and c > d", "a < b and c > d"),
        ("AT&T &unknown; R&D;", "AT&T &unknown; R&D;"),
        ("cafe\u0301", "café"),
        ("tab\tline\r\nend\x00\x07\x85", "tab line end"),
        ("\ufeffzero\u200bwidth\u00ad", "zerowidth"),
        ("bad \ud800 half", "bad half"),
        ("👩\u200d🚀 ❤\ufe0f 👍🏽", "👩\u200d🚀 ❤\ufe0f 👍🏽"),
        (" \u3000\xa0 ", ""),
    ],
)
def test_markup_entities_and_what_cannot_be_seen_go(found: str, text: str) -> None:
    assert clean(found) == text


def test_very_long_text_is_cut_between_words_and_quickly() -> None:
    text = clean("<i>word</i> " * 1_000_000, 1000)
    assert len(text) <= 1000 and set(text.split()) == {"word"}
    assert len(clean("字" * 100_000, 1000)) == 1000
    for hostile in ("<", "<a ", "<script ", "<script>", "</script", "<!--", "&#1", "&amp", "<b <", "\u0301"):
        assert len(clean(hostile * 100_000, 20_000)) <= 20_000


@given(st.text(max_size=200))
def test_what_is_clean_is_text_that_can_be_written(text: str) -> None:
    found = clean(text)
    assert found == found.strip() and "  " not in found
    found.encode()


def test_columns_of_any_kind_become_one_text_a_row() -> None:
    table = pa.table(
        {
            "title": ["A tale", "Ends here!", None, " "],
            "tags": pa.array([["x", None, "y"], [], None, ["<br>"]], pa.list_(pa.string())),
            "pages": pa.array([12, None, None, None], pa.int64()),
            "price": pa.array([0.5, 2.0, float("nan"), None]),
            "new": pa.array([True, False, None, None]),
            "made": pa.array([datetime.date(2026, 11, 30), None, None, None]),
            "brand": pa.array(["b", "c", None, None]).dictionary_encode(),
        }
    )
    assert texts_of(table) == [
        "A tale. x, y. 12. 0.5. true. 2026-11-30. b",
        "Ends here! 2. false. c",
        None,
        None,
    ]


def test_a_moment_in_nanoseconds_is_written() -> None:
    assert texts_of(pa.table({"at": pa.array([1], pa.timestamp("ns"))})) == ["1970-01-01T00:00:00"]


@pytest.mark.parametrize("column", [pa.array([b"x"]), pa.array([{"a": 1}])])
def test_bytes_and_records_are_no_text(column: pa.Array) -> None:
    with pytest.raises(DataError, match="column 'odd'"):
        texts_of(pa.table({"odd": column}))


def test_no_column_is_said() -> None:
    with pytest.raises(DataError, match="no columns"):
        texts_of(pa.table({}))


def test_what_is_joined_is_cut() -> None:
    assert joined(["aaa bbb", None, "ccc ddd"], 13) == "aaa bbb. ccc"
    assert joined([None, ""]) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't STOP — 3.5mm snake_case", ["don't", "stop", "3", "5mm", "snake", "case"]),
        ("Straße ÉCOLE Ａｂ", ["strasse", "école", "ab"]),
        ("東京タワー100", ["東", "京", "タ", "ワ", "ー", "100"]),
        ("हिन्दी की किताब", ["हिन्दी", "की", "किताब"]),
        ("서울 타워", ["서울", "타워"]),
        ("كتاب جديد", ["كتاب", "جديد"]),
        ("love❤️ 👩‍🚀🇩🇪🇫🇷", ["love", "❤️", "👩‍🚀", "🇩🇪", "🇫🇷"]),
        ("... !!", []),
    ],
)
def test_words_of_many_scripts(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_pieces_keep_the_text_as_written() -> None:
    assert pieces("A big-box, 東京 café") == ["A", "big-box,", "東", "京", "café"]
