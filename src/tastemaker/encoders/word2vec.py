"""Vectors of words learned from the catalogue's own texts; an item is the mean of its words."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.texts import texts_of
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.skip_gram import SkipGram
from tastemaker.encoders.parts.texts import distinct, spread
from tastemaker.encoders.parts.version import version_of
from tastemaker.encoders.parts.vocabulary import Words, tokenised
from tastemaker.settings import Settings


class Word2Vec(Encoder):
    """Skip-gram with negative sampling on the corpus (Mikolov et al. 2013); an item is the idf-weighted mean of its words' vectors.

    The mean of all words is taken off first (as Mu & Viswanath 2018, "All-but-the-top", do), since it says nothing about any of them.
    Texts that several items share are read once. A text none of whose words is known is not there.
    """

    class Config(Settings):
        """How words are learned."""

        dim: int = Field(100, ge=1, description="length of a vector")
        window: int = Field(5, ge=1, description="words up to this far apart are taken for neighbours")
        negatives: int = Field(5, ge=1, description="words drawn against each neighbour")
        epochs: int = Field(10, ge=1, description="times the texts are read")
        subsample: float = Field(1e-3, ge=0, description="a word of a larger share is skipped now and then; 0: none is")
        min_texts: int = Field(2, ge=1, description="texts that must have a word for it to count")
        max_words: int = Field(50_000, ge=1, description="words that count, the most frequent ones")
        limit: int = Field(20_000, ge=1, description="characters of a text that are read")
        seed: int = Field(0, ge=0, description="of the first vectors and of what is drawn")

    reads = "text"
    config: Config
    vectors: Tensor
    """float32 (words, dim)"""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.words = Words()
        self.register_data_buffer("vectors", ndim=2)

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        config = self.config
        texts, _ = distinct(texts_of(items, limit=config.limit))
        tokens = tokenised(texts)
        self.words.learn(tokens, min_texts=config.min_texts, max_share=1.0, most=config.max_words)
        codes, offsets = self.words.encode(tokens)
        learner = SkipGram(config.dim, config.window, config.negatives, config.epochs, config.subsample, config.seed)
        vectors = learner.learn(codes, offsets, len(self.words), progress)
        counts = np.bincount(codes, minlength=len(vectors))
        self.vectors = torch.from_numpy(vectors - (counts @ vectors / max(1, counts.sum())).astype(np.float32))

    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        weights = self.words.idf.cpu().numpy()[:, None] * self.vectors.cpu().numpy()

        def vectors(texts: list[str]) -> np.ndarray:
            codes, offsets = self.words.encode(tokenised(texts))
            # A text at a time: sums of floats depend on how they are grouped, and a row must not depend on others.
            return np.stack([weights[codes[a:b]].sum(0) for a, b in pairwise(offsets)])

        return spread(texts_of(items, limit=self.config.limit), vectors, self.config.dim)

    @property
    def version(self) -> str:
        return version_of(self)
