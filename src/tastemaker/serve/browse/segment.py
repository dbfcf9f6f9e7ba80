"""Segment: where each word stands in some items; a search asks all segments, as a change makes a small one.

```
vocabulary  ["creme", "cup", "red", …]   sorted, so that what begins with "cr" is a range
offsets     [0, 2, 5, …]                 the items of word w are postings[offsets[w]:offsets[w + 1]]
postings    [7, 91, 7, 12, 30, …]        places in the segment
```
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from tastemaker.recommend.held import Held
from tastemaker.serve.browse.words import column, fold
from tastemaker.store.base import Item

EXACT, BEGINS, WHOLE, WITHIN = range(4)
"""How an item matches, best first: the query is its id; its id or title begins with the query; it has all words as whole words; each
word is within one of its words."""
NAMES = ("title", "name", "product_name", "item_name", "description")
"""Properties whose words are found; the first one an item has is its title."""
SHORT = 3
"""Words of fewer ASCII characters than this are looked for at the beginning of words only."""
_LONGEST = 1000
"""Characters of a property that are read."""


@dataclass(frozen=True, eq=False)
class Segment:
    """The words of some items."""

    rows: np.ndarray
    """int64 (items,): what the places stand for"""
    vocabulary: pa.StringArray
    offsets: np.ndarray
    """int64 (words + 1,)"""
    postings: np.ndarray
    """int32, ascending for each word"""
    ids: pa.StringArray
    titles: pa.StringArray
    """folded, by place"""
    heads: np.ndarray
    """int32 (2, items): first word of the id and of the title, -1 where there is none"""
    signatures: np.ndarray
    """uint64 (words,): see `signatures`"""
    _scanned: Held[np.ndarray] = field(default_factory=lambda: Held(64))
    """what looking through the vocabulary found: who types asks for the same words again"""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        arrays = (self.rows, self.offsets, self.postings, self.heads, self.signatures, self.vocabulary, self.ids, self.titles)
        return sum(array.nbytes for array in arrays)

    @classmethod
    def of(cls, rows: np.ndarray, items: Sequence[Item]) -> Segment:
        """The segment of items, int64 rows beside them."""
        parts = [_texts(item) for item in items]
        ids, titles, rest = (fold(column([part[place] for part in parts])) for place in range(3))
        tokens, places, heads = [], [], []
        for texts in (ids, titles, rest):
            words = pc.utf8_split_whitespace(texts)
            flat = pc.list_flatten(words)
            tokens.append(flat)
            places.append(pc.list_parent_indices(words).to_numpy().astype(np.int32))
            heads.append(words.offsets.to_numpy()[:-1])
        coded = pa.concat_arrays(tokens).dictionary_encode()
        codes = coded.indices.to_numpy()
        vocabulary, numbers = _sorted(coded.dictionary)
        codes = numbers[codes]
        firsts, start = [], 0
        for begins, texts, flat in zip(heads[:2], (ids, titles), tokens, strict=False):
            lengths = pc.binary_length(texts).to_numpy()
            firsts.append(np.where(lengths > 0, codes[start + np.minimum(begins, max(0, len(flat) - 1))], -1))
            start += len(flat)
        return _laid(rows, vocabulary, codes, np.concatenate(places), ids, titles, np.array(firsts, np.int32))

    @classmethod
    def merged(cls, parts: Iterable[tuple[Segment, np.ndarray | None]]) -> Segment:
        """One segment of several, of which bool (items,) says what stays; None is all."""
        rows, ids, titles, tokens, places, heads = [], [], [], [], [], []
        kept = [(segment, np.arange(len(segment)) if alive is None else np.flatnonzero(alive)) for segment, alive in parts]
        vocabulary, _ = _sorted(pc.unique(pa.concat_arrays([segment.vocabulary for segment, _ in kept])))
        start = 0
        for segment, stays in kept:
            numbers = pc.index_in(segment.vocabulary, vocabulary).to_numpy()
            where = np.full(len(segment), -1, np.int32)
            where[stays] = np.arange(start, start + len(stays), dtype=np.int32)
            at = where[segment.postings]
            tokens.append(np.repeat(numbers, np.diff(segment.offsets))[at >= 0])
            places.append(at[at >= 0])
            rows.append(segment.rows[stays])
            ids.append(segment.ids.take(pa.array(stays)))
            titles.append(segment.titles.take(pa.array(stays)))
            first = segment.heads[:, stays]
            heads.append(np.where(first >= 0, numbers[first], -1))
            start += len(stays)
        return _laid(
            np.concatenate(rows),
            vocabulary,
            np.concatenate(tokens),
            np.concatenate(places),
            pa.concat_arrays(ids),
            pa.concat_arrays(titles),
            np.concatenate(heads, axis=1),
        )

    def find(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Places of the items that match all words, ascending, and how well each does: int64 and uint8 (found,)."""
        found, whole = np.ones(len(self), bool), np.ones(len(self), bool)
        for word in words:
            low, high = self._beginning(word)
            tokens = self._within(word)
            hit = np.zeros(len(self), bool)
            hit[self._items(low, high) if tokens is None else self._gathered(tokens)] = True
            found &= hit
            exact = np.zeros(len(self), bool)
            if low < high and self.vocabulary[low].as_py() == word:
                exact[self._items(low, low + 1)] = True
            whole &= exact
        places = np.flatnonzero(found)
        tiers = np.where(whole[places], WHOLE, WITHIN).astype(np.uint8)
        self._raise_beginnings(words, places, tiers)
        return places, tiers

    def _raise_beginnings(self, words: Sequence[str], places: np.ndarray, tiers: np.ndarray) -> None:
        query = " ".join(words)
        low, high = self._beginning(words[0])
        high = high if len(words) == 1 else min(high, low + 1)  # the first of several words is a whole one
        for heads, texts in zip(self.heads, (self.ids, self.titles), strict=True):
            mine = np.flatnonzero((heads[places] >= low) & (heads[places] < high))
            if len(words) > 1 and len(mine):
                mine = mine[pc.starts_with(texts.take(pa.array(places[mine])), query).to_numpy(zero_copy_only=False)]
            tiers[mine] = BEGINS
        if low < high and self.vocabulary[low].as_py() == words[0]:
            mine = np.flatnonzero(self.heads[0][places] == low)
            same = pc.equal(self.ids.take(pa.array(places[mine])), query).to_numpy(zero_copy_only=False)
            tiers[mine[same]] = EXACT

    def _beginning(self, word: str) -> tuple[int, int]:
        """The range of the vocabulary that begins with a word."""
        return self._place(word), self._place(word + "\U0010ffff")

    def _place(self, word: str) -> int:
        low, high = 0, len(self.vocabulary)
        while low < high:
            middle = (low + high) // 2
            if self.vocabulary[middle].as_py() < word:
                low = middle + 1
            else:
                high = middle
        return low

    def _within(self, word: str) -> np.ndarray | None:
        """Numbers of the words that hold a word anywhere; None where only beginnings count."""
        if word.isascii() and len(word) < SHORT:
            return None
        found = self._scanned.get(word)
        if found is None:
            needed = signatures(column([word]))[0]
            found = np.flatnonzero(self.signatures & needed == needed)
            holds = pc.match_substring(self.vocabulary.take(pa.array(found)), word)
            found = found[holds.to_numpy(zero_copy_only=False)]
            self._scanned.put(word, found)
        return found

    def _items(self, low: int, high: int) -> np.ndarray:
        return self.postings[self.offsets[low] : self.offsets[high]]

    def _gathered(self, tokens: np.ndarray) -> np.ndarray:
        """The items of many words; one that has several of them comes several times."""
        begins, lengths = self.offsets[tokens], np.diff(self.offsets)[tokens]
        ends = np.cumsum(lengths)
        if not len(ends):
            return self.postings[:0]
        return self.postings[np.repeat(begins - ends + lengths, lengths) + np.arange(ends[-1])]


def signatures(words: pa.StringArray) -> np.ndarray:
    """A bit of 64 for each pair of neighbouring bytes, uint64 (words,): a word within another has no bit that this one lacks.

    Looking through these first, only few words of a vocabulary are left to compare. No word may be empty.
    """
    if not len(words):
        return np.zeros(0, np.uint64)
    offsets = np.frombuffer(words.buffers()[1], np.int32)[words.offset : words.offset + len(words) + 1]
    letters = np.frombuffer(words.buffers()[2], np.uint8)[offsets[0] : offsets[-1]].astype(np.uint64)
    pairs = np.zeros(len(letters), np.uint64)
    pairs[:-1] = np.uint64(1) << (letters[:-1] * np.uint64(37) + letters[1:]) % np.uint64(64)
    ends = offsets[1:] - offsets[0]
    pairs[ends - 1] = 0
    return np.bitwise_or.reduceat(pairs, ends - np.diff(offsets))


def title_of(item: Item) -> str:
    """What an item is called; "" where nobody says."""
    return next(_named(item), "")


def _texts(item: Item) -> tuple[str, str, str]:
    title, *rest = [*_named(item)] or [""]
    return item.item_id, title, " ".join(rest)


def _named(item: Item) -> Iterator[str]:
    for name in NAMES:
        value = item.properties.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and (text := str(value)[:_LONGEST].strip()):
            yield text


def _sorted(texts: pa.StringArray) -> tuple[pa.StringArray, np.ndarray]:
    """Texts in order, and the place that each has there, int32."""
    order = pc.sort_indices(texts)
    places = np.empty(len(texts), np.int32)
    places[order.to_numpy()] = np.arange(len(texts), dtype=np.int32)
    return texts.take(order), places


def _laid(
    rows: np.ndarray,
    vocabulary: pa.StringArray,
    tokens: np.ndarray,
    places: np.ndarray,
    ids: pa.StringArray,
    titles: pa.StringArray,
    heads: np.ndarray,
) -> Segment:
    """The segment of pairs of a word and a place, in any order and any number of times."""
    shape = (len(vocabulary), max(1, len(rows)))
    pairs = sp.coo_array((np.ones(len(tokens), np.int8), (tokens, places)), shape=shape).tocsr()
    pairs.sort_indices()
    counts = np.diff(pairs.indptr)
    stays = (counts > 0) & (pc.binary_length(vocabulary).to_numpy() > 0)
    numbers = np.where(stays, np.cumsum(stays) - 1, -1)
    offsets = np.concatenate([[0], np.cumsum(counts[stays])]).astype(np.int64)
    postings = pairs.indices if stays.all() else pairs.indices[np.repeat(stays, counts)]
    heads = np.where(heads >= 0, numbers[heads], -1).astype(np.int32)
    vocabulary = vocabulary.filter(pa.array(stays))
    return Segment(rows, vocabulary, offsets, postings.astype(np.int32), ids, titles, heads, signatures(vocabulary))
