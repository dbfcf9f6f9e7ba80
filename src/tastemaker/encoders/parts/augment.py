"""Text augmentation: the same text with words left out, cut, or in other words, so that an encoder learns what matters in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from tastemaker.data.texts import clean, pieces, words
from tastemaker.encoders.parts.skip_gram import SkipGram
from tastemaker.encoders.parts.vocabulary import Words, tokenised
from tastemaker.errors import DataError
from tastemaker.settings import Settings

_NEAREST = 3  # words that may stand for one
_ALIKE = 0.7  # cosine from which on they may


class AugmentSettings(Settings):
    """What is done to a text each time an encoder is trained on it."""

    word_dropout: float = Field(0.0, ge=0, lt=1, description="share of words left out")
    crop: float = Field(1.0, gt=0, le=1, description="least share of a text's words that a cut-out has; 1: nothing is cut")
    synonyms: float = Field(0.0, ge=0, le=1, description="share of words that another stands for, where one is known")
    synonyms_file: Path | None = Field(
        None,
        description="a line of words parted by commas for each group that mean the same, found from where the process runs; default: words near each other in a word2vec of the catalogue",
    )

    @property
    def any(self) -> bool:
        """Whether anything is done."""
        return bool(self.word_dropout or self.synonyms or self.crop < 1)


class Augment:
    """Changes texts by the settings; each call draws anew. At least one word always stays."""

    def __init__(self, settings: AugmentSettings, texts: Sequence[str], seed: int) -> None:
        """`texts` is the corpus that synonyms are learned from where no file names them.

        Raises:
            DataError: the file of synonyms cannot be read.
        """
        self.settings = settings
        self.draw = np.random.default_rng([seed, 1])
        self.synonyms: Mapping[str, Sequence[str]] = {}
        if settings.synonyms:
            self.synonyms = read_synonyms(settings.synonyms_file) if settings.synonyms_file else near_words(texts, seed)

    def __call__(self, text: str) -> str:
        """The text as it might have been written."""
        settings, draw = self.settings, self.draw
        found = pieces(text)
        if settings.crop < 1 and len(found) > 1:
            length = max(1, round(len(found) * draw.uniform(settings.crop, 1)))
            start = int(draw.integers(len(found) - length + 1))
            found = found[start : start + length]
        if settings.word_dropout and len(found) > 1:
            stays = draw.random(len(found)) >= settings.word_dropout
            stays[draw.integers(len(found))] = True
            found = [one for one, stay in zip(found, stays.tolist(), strict=True) if stay]
        if self.synonyms:
            change = draw.random(len(found)) < settings.synonyms
            found = [self._other(one) if changed else one for one, changed in zip(found, change.tolist(), strict=True)]
        return " ".join(found)

    def _other(self, piece: str) -> str:
        inner = words(piece)
        known = self.synonyms.get(inner[0], ()) if len(inner) == 1 else ()
        return known[int(self.draw.integers(len(known)))] if known else piece


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """For each word of a file those that stand in a line with it; lines of words parted by commas, `#` begins a remark.

    Raises:
        DataError: the file cannot be read, or holds none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"synonyms in {str(path)!r}: {error}", expected="a text file in UTF-8") from None
    found: dict[str, list[str]] = {}
    for line in lines:
        group = [clean(one) for one in line.partition("#")[0].split(",")]
        group = [one for one in group if one]
        for one in group:
            found.setdefault(" ".join(words(one)), []).extend(other for other in group if other != one)
    found = {word: others for word, others in found.items() if others}
    if not found:
        raise DataError(f"no synonyms in {str(path)!r}", expected="lines such as: sofa, couch, settee")
    return found


def near_words(texts: Sequence[str], seed: int) -> dict[str, list[str]]:
    """For each word the up to three nearest by a word2vec of the texts, of a cosine of at least .7."""
    tokens, table = tokenised(texts), Words()
    table.learn(tokens, min_texts=3, max_share=0.2, most=10_000)
    codes, offsets = table.encode(tokens)
    vectors = SkipGram(dim=64, window=5, negatives=5, epochs=10, subsample=1e-3, seed=seed).learn(codes, offsets, len(table))
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    spelled, found = table.spelled, {}
    for start in range(0, len(vectors), 512):
        likeness = vectors[start : start + 512] @ vectors.T
        likeness[np.arange(len(likeness)), np.arange(start, start + len(likeness))] = -1
        best = np.argsort(-likeness, axis=1, kind="stable")[:, :_NEAREST]
        for row, near in enumerate(best):
            others = [spelled[one] for one in near.tolist() if likeness[row, one] >= _ALIKE]
            if others:
                found[spelled[start + row]] = others
    return found
