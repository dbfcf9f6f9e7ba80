"""Reviews as packed words: who wrote each, about what, and which of them are read for a user, an item or a pair of both."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.texts import words
from tastemaker.nn.segments import rows_of
from tastemaker.nn.sparse import SizedByData

Side = Literal["user", "item"]


class Documents(SizedByData):
    """The reviews of the training side that have words. A user's document is what they wrote, an item's what was written about it.

    Word codes are 1 … `vocabulary`, the most frequent word first, ties in the order of the alphabet; rarer words are left out. Only the
    newest `max_reviews` of a document are kept, and of each review the first `max_words` known words. Nothing is padded.
    """

    words: Tensor
    """int32 (words,): word codes of all reviews, one after the other"""
    bounds: Tensor
    """int64 (reviews + 1,): review r is `words[bounds[r]:bounds[r + 1]]`; none is empty"""
    user: Tensor
    """int32 (reviews,): who wrote it"""
    item: Tensor
    """int32 (reviews,): what it is about"""
    by_user: Tensor
    """int32: the reviews of each user's document, oldest first"""
    user_bounds: Tensor
    """int64 (num_users + 1,): where each user's document begins in `by_user`"""
    by_item: Tensor
    item_bounds: Tensor

    def __init__(self, num_users: int, num_items: int, *, vocabulary: int, max_words: int, max_reviews: int) -> None:
        super().__init__()
        self.vocabulary, self.max_words, self.max_reviews = vocabulary, max_words, max_reviews
        for name in ("words", "user", "item", "by_user", "by_item"):
            self.register_data_buffer(name, torch.int32)
        self.register_data_buffer("bounds", torch.int64)
        self.register_buffer("user_bounds", torch.zeros(num_users + 1, dtype=torch.int64))
        self.register_buffer("item_bounds", torch.zeros(num_items + 1, dtype=torch.int64))

    def __len__(self) -> int:
        """How many reviews there are."""
        return len(self.user)

    def observe(self, interactions: Interactions) -> None:
        """Takes the reviews of these rows; none where they bring none."""
        texts = [] if interactions.review is None else [words(text) for text in interactions.review.to_pylist()]
        counts = Counter(chain.from_iterable(texts))
        usual = sorted(counts, key=lambda word: (-counts[word], word))[: self.vocabulary]
        codes = {word: code for code, word in enumerate(usual, start=1)}
        read = [[codes[word] for word in text if word in codes][: self.max_words] for text in texts]
        kept = np.flatnonzero([len(one) > 0 for one in read]) if read else np.zeros(0, np.int64)
        lengths = np.array([len(read[row]) for row in kept], np.int64)
        self.words = torch.from_numpy(np.fromiter(chain.from_iterable(read), np.int32, int(lengths.sum())))
        self.bounds = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]))
        for side in ("user", "item"):
            owner = getattr(interactions, side)[kept].astype(np.int32)
            setattr(self, side, torch.from_numpy(owner))
            self._list(side, owner, interactions.time[kept])

    def _list(self, side: str, owner: np.ndarray, time: np.ndarray) -> None:
        size = len(getattr(self, f"{side}_bounds")) - 1
        order = np.lexsort((np.arange(len(owner)), time, owner))
        ends = np.cumsum(np.bincount(owner, minlength=size))
        order = order[ends[owner[order]] - np.arange(len(order)) <= self.max_reviews]
        lengths = np.bincount(owner[order], minlength=size)
        setattr(self, f"by_{side}", torch.from_numpy(order.astype(np.int32)))
        setattr(self, f"{side}_bounds", torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)])))

    def of(self, side: Side, owners: Tensor | None = None, apart_from: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The reviews of documents: places int64 (places,), a document after the other, and where each begins, int64 (documents + 1,).

        Args:
            side: whose documents.
            owners: int64 (documents,), user or item codes; None: all.
            apart_from: int64 (documents,), for each document a code of the *other* side: what stands between the two is left out. A value
                that is to be predicted must not be read off the text that came with it.
        """
        listed, bounds = (self.by_user, self.user_bounds) if side == "user" else (self.by_item, self.item_bounds)
        if owners is None:
            return listed.long(), bounds
        starts, lengths = bounds[owners], bounds[owners + 1] - bounds[owners]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        count = int(offsets[-1])
        rows = rows_of(offsets, count)
        found = listed[torch.arange(count, device=rows.device) + (starts - offsets[:-1])[rows]].long()
        if apart_from is None:
            return found, offsets
        stays = (self.item if side == "user" else self.user)[found] != apart_from[rows]
        before = torch.cat([lengths.new_zeros(1), stays.long().cumsum(0)])
        return found[stays], before[offsets]

    def text(self, reviews: Tensor) -> tuple[Tensor, Tensor]:
        """The words of some reviews, int64 (words,), one review after the other, and where each begins, int64 (reviews + 1,)."""
        starts, lengths = self.bounds[reviews], self.bounds[reviews + 1] - self.bounds[reviews]
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        places = torch.arange(int(offsets[-1]), device=reviews.device)
        return self.words[places + (starts - offsets[:-1])[rows_of(offsets, len(places))]].long(), offsets
