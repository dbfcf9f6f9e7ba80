"""From vectors of distinct texts to those of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tastemaker.encoders.base import Vectors

UNREADABLE = "no known word"


def distinct(texts: Sequence[str | None]) -> tuple[list[str], np.ndarray]:
    """The distinct texts in the order they come, and the place of each row's among them, int64; -1 where there is none."""
    places: dict[str, int] = {}
    rows = [-1 if text is None else places.setdefault(text, len(places)) for text in texts]
    return list(places), np.array(rows, np.int64)


def spread(texts: Sequence[str | None], vectors: Callable[[list[str]], np.ndarray], dim: int) -> Vectors:
    """A vector of unit length a row; each text is encoded once, so equal rows are equal to the bit.

    `vectors` gives float (texts, dim); one of length 0 means that nothing in the text is known: it is rejected and not there.
    """
    once, rows = distinct(texts)
    values = np.zeros((len(once) + 1, dim), np.float32)  # the last for rows without a text
    if once:
        found = vectors(once)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        np.divide(found, lengths, out=values[:-1], where=lengths > 0)
    present = np.any(values, axis=1)[rows]
    unreadable = int((rows >= 0).sum() - present.sum())
    return Vectors(values[rows], present, {UNREADABLE: unreadable} if unreadable else {})
