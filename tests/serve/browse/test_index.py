"""Search by words: what it finds is what its definition says, however items came in."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.serve.browse import index as indexes
from tastemaker.serve.browse.index import Index
from tastemaker.serve.browse.segment import NAMES, SHORT, Segment, signatures
from tastemaker.serve.browse.words import fold, words_of
from tastemaker.serve.stock import Stock
from tastemaker.store.base import Item


class Shelf:
    """A catalogue that is put into, and its index."""

    def __init__(self) -> None:
        self.stock, self.change = Stock.empty(), 1
        self.index = Index(lambda: self.stock)

    def put(self, *items: Item) -> None:
        self.stock = self.stock.put(items, self.change)
        self.change += len(items)

    def find(self, query: str) -> dict[str, int]:
        found = self.index.find(query)
        assert len(set(found.rows.tolist())) == len(found.rows)
        return {self.stock.items[row].item_id: int(how) for row, how in zip(found.rows, found.tiers, strict=True)}


@cache
def parts(text: str) -> list[str]:
    """The words of a text, in their order."""
    return fold(pa.array([text]))[0].as_py().split()


def brute(item: Item, query: str) -> int | None:
    """The definition: how well an item matches, None where it does not."""
    wanted = list(dict.fromkeys(parts(query)))
    names = [str(item.properties[name]).strip() for name in NAMES if str(item.properties.get(name, "")).strip()]
    ids, title, rest = map(parts, (item.item_id, *(names[:1] or [""]), " ".join(names[1:])))
    held = {*ids, *title, *rest}

    def within(word: str) -> bool:
        anywhere = len(word) >= SHORT or not word.isascii()
        return any(word in one if anywhere else one.startswith(word) for one in held)

    if item.item_id == query:
        return 0
    if not wanted or not all(map(within, wanted)):
        return None
    if wanted == ids:
        return 0
    if any(" ".join(words).startswith(" ".join(wanted)) and words for words in (ids, title)):
        return 1
    return 2 if set(wanted) <= held else 3


WORDS = st.sampled_from(
    ["red", "Réd", "REDS", "lantern", "plant", "ant", "a", "an", "Straße", "日本語", "本", "x-ray", "no. 5", "№", "", "ﬁn"]
)
TEXT = st.lists(WORDS, max_size=4).map(" ".join)
PROPERTIES = st.dictionaries(st.sampled_from(["title", "name", "description", "colour"]), TEXT, max_size=3)
ITEM = st.builds(Item, st.sampled_from([f"{a}{b}" for a in ("red", "no-", "Ä/", "7") for b in (1, 17, "x ray")]), PROPERTIES)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(ITEM, min_size=1, max_size=5), min_size=1, max_size=6), st.lists(TEXT, min_size=1, max_size=4), st.data()
)
def test_search_finds_what_a_look_at_every_item_finds(puts: list[list[Item]], queries: list[str], data: st.DataObject) -> None:
    shelf = Shelf()
    for items in puts:
        shelf.put(*items)
        if data.draw(st.booleans(), "merge"):
            shelf.index.catch_up()
        for query in [*queries, data.draw(st.sampled_from([item.item_id for item in items]))]:
            expected = {item.item_id: how for item in shelf.stock.items[1:] if (how := brute(item, query)) is not None}
            assert shelf.find(query) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Crème brûlée, № 5", ["creme", "brulee", "no", "5"]),
        ("STRASSE straße", ["strasse"]),
        ("Łódź Øre Þór İstanbul", ["lodz", "ore", "thor", "istanbul"]),
        ("ΣΊΣΥΦΟΣ", ["σισυφοσ"]),
        ("don't-panic_42", ["don", "t", "panic", "42"]),
        ("日本語 ☃ <img onerror=x>", ["日本語", "img", "onerror", "x"]),
        (" … ", []),
    ],
)
def test_words_have_no_case_accents_or_punctuation(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.lists(st.text(max_size=8), min_size=1, max_size=8), st.text(max_size=3))
def test_a_word_within_another_has_no_bit_that_it_lacks(texts: list[str], word: str) -> None:
    held = [text for text in texts if text] or ["x"]
    found = signatures(pa.array(held))
    for text, bits in zip(held, found, strict=True):
        if word and word in text:
            needed = signatures(pa.array([word]))[0]
            assert bits & needed == needed
    assert found.tolist() == [int(signatures(pa.array([text]))[0]) for text in held]


def test_folding_is_the_same_for_a_column_and_for_each_of_its_texts() -> None:
    texts = ["Ünï", "plain", "", "É" * 3, "a  b", unicodedata.normalize("NFD", "Ünï")]
    assert fold(pa.array(texts)).to_pylist() == [fold(pa.array([text]))[0].as_py() for text in texts]


def test_a_large_catalogue_is_taken_in_by_a_thread_and_a_search_says_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_AT_ONCE", 10)
    monkeypatch.setattr(indexes, "_PART", 100)
    shelf = Shelf()
    shelf.put(*(Item(f"i{n}", {"title": "common " + ("odd" if n % 2 else "even")}) for n in range(450)))
    monkeypatch.setattr(shelf.index, "begin", lambda: None)
    first = shelf.index.find("common")
    assert (first.searched, len(first.rows)) == (0, 0)
    shelf.index._step()
    assert shelf.index.find("common").searched == len(shelf.index.find("common").rows) == 100
    shelf.put(Item("i3", {"title": "new"}))  # one that is taken in, and one that waits
    shelf.put(Item("i444", {"title": "new"}))
    shelf.index.catch_up()
    assert shelf.index.find("common").searched == 450
    assert set(shelf.find("new")) == {"i3", "i444"}
    assert len(shelf.find("common")) == 448
    assert len(shelf.index._segments) <= 3
    assert shelf.index.nbytes > 0


def test_the_thread_takes_in_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_AT_ONCE", 10)
    shelf = Shelf()
    shelf.put(*(Item(f"i{n}", {"title": "common"}) for n in range(450)))
    shelf.index.find("common")
    for _ in range(200):
        if shelf.index.waiting == 0:
            break
        shelf.index._closed.wait(0.02)
    assert len(shelf.find("common")) == 450
    shelf.index.close()
    assert shelf.index._thread is not None and not shelf.index._thread.is_alive()


def test_a_put_that_overtakes_the_thread_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    shelf.put(*(Item(f"i{n}", {"title": "old"}) for n in range(5)))
    plain, meanwhile = Segment.of, []

    def slow(rows: np.ndarray, items: list[Item]) -> Segment:
        if not meanwhile:
            meanwhile.append(True)
            shelf.put(Item("i2", {"title": "newer"}))
            assert set(shelf.find("newer")) == {"i2"}
        return plain(rows, items)

    monkeypatch.setattr(Segment, "of", slow)
    shelf.index.catch_up()
    assert set(shelf.find("newer")) == {"i2"} and set(shelf.find("old")) == {"i0", "i1", "i3", "i4"}
