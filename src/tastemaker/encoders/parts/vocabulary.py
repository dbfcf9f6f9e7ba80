"""The words an encoder learned from a corpus, kept in a buffer so that a saved state has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.texts import words
from tastemaker.nn.sparse import SizedByData


class Words(SizedByData):
    """Distinct words, the most frequent first; ties in the order of the alphabet. Code = place."""

    letters: Tensor
    """uint8: the words in UTF-8, a line each"""
    idf: Tensor
    """float32 (words,): log((1 + texts) / (1 + texts that have it)) + 1, as scikit-learn has it"""

    def __init__(self) -> None:
        super().__init__()
        self.register_data_buffer("letters", torch.uint8)
        self.register_data_buffer("idf")
        self._codes: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self.idf)

    def forget(self) -> None:
        self._codes = None

    @property
    def spelled(self) -> list[str]:
        """The words, by code."""
        return list(self.codes)

    @property
    def codes(self) -> dict[str, int]:
        """The code of each word."""
        if self._codes is None:
            text = self.letters.cpu().numpy().tobytes().decode()
            self._codes = {word: code for code, word in enumerate(text.split("\n") if text else [])}
        return self._codes

    def learn(self, texts: Iterable[Sequence[str]], *, min_texts: int, max_share: float, most: int) -> None:
        """Takes the words that at least `min_texts` texts have, and at most `max_share` of them; of those the `most` frequent."""
        held: Counter[str] = Counter()
        size = 0
        for text in texts:
            held.update(set(text))
            size += 1
        bound = max(max_share * size, min_texts)
        kept = sorted(
            ((count, word) for word, count in held.items() if min_texts <= count <= bound), key=lambda one: (-one[0], one[1])
        )
        counts = np.array([count for count, _ in kept[:most]], np.float64)
        self.letters = (
            torch.frombuffer(bytearray("\n".join(word for _, word in kept[:most]).encode()), dtype=torch.uint8)
            if kept
            else torch.empty(0, dtype=torch.uint8)
        )
        self.idf = torch.from_numpy((np.log((1 + size) / (1 + counts)) + 1).astype(np.float32))
        self.forget()

    def encode(self, texts: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Codes of the known words of all texts one after the other, int64; and where each text begins, int64 (texts + 1,)."""
        codes = self.codes
        found = [[codes[word] for word in text if word in codes] for text in texts]
        lengths = np.fromiter(map(len, found), np.int64, len(found))
        flat = np.fromiter(chain.from_iterable(found), np.int64, int(lengths.sum()))
        return flat, np.concatenate([[0], np.cumsum(lengths)])


def tokenised(texts: Sequence[str | None], ngrams: int = 1) -> list[list[str]]:
    """The words of each text, and where `ngrams` > 1 runs of so many of them, joined by blanks."""
    found = [words(text) if text else [] for text in texts]
    if ngrams == 1:
        return found
    return [
        [" ".join(text[start : start + size]) for size in range(1, ngrams + 1) for start in range(len(text) - size + 1)]
        for text in found
    ]
