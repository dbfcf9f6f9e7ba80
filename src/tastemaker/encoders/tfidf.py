"""TF-IDF and a truncated SVD: texts are near when they use the same rare words, or words that occur with the same others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.texts import texts_of
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.texts import spread
from tastemaker.encoders.parts.version import version_of
from tastemaker.encoders.parts.vocabulary import Words, tokenised
from tastemaker.nn.singular import right_singular_vectors
from tastemaker.settings import Settings


class TfIdf(Encoder):
    """Rows of tf-idf (Salton & Buckley 1988) times the first right singular vectors: latent semantic analysis (Deerwester et al. 1990).

    A word counts (1 + log of how often it stands in the text) × its idf; rows are of unit length before and after the product, so that
    the dot product of two vectors is their cosine. An axis points to where its largest weight is positive, which makes vectors the same
    on every run. A corpus of fewer dimensions than asked for leaves the others zero. A text none of whose words is known is not there.
    """

    class Config(Settings):
        """What words count and how many axes they become."""

        dim: int = Field(128, ge=1, description="axes: length of a vector")
        min_texts: int = Field(2, ge=1, description="texts that must have a word for it to count")
        max_share: float = Field(0.5, gt=0, le=1, description="a word that a larger share of the texts has says nothing")
        max_words: int = Field(50_000, ge=1, description="words that count, the most frequent ones")
        ngrams: int = Field(1, ge=1, le=3, description="runs of up to so many words count as a word")
        limit: int = Field(20_000, ge=1, description="characters of a text that are read")

    reads = "text"
    config: Config
    axes: Tensor
    """float32 (words, dim)"""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.words = Words()
        self.register_data_buffer("axes", ndim=2)

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        config = self.config
        texts = tokenised(texts_of(items, limit=config.limit), config.ngrams)
        self.words.learn(
            (text for text in texts if text), min_texts=config.min_texts, max_share=config.max_share, most=config.max_words
        )
        cells = self._weighed(texts)
        cells = cells[np.diff(cells.indptr) > 0]
        axes = np.zeros((len(self.words), config.dim), np.float32)
        found = right_singular_vectors(cells, config.dim)
        axes[:, : found.shape[1]] = found
        self.axes = torch.from_numpy(axes)

    def _weighed(self, texts: list[list[str]]) -> sp.csr_matrix:
        """Rows of unit length or empty: float32 (texts, words)."""
        codes, offsets = self.words.encode(texts)
        cells = sp.csr_matrix((np.ones(len(codes), np.float32), codes, offsets), shape=(len(texts), len(self.words)))
        cells.sum_duplicates()
        cells.data = (1 + np.log(cells.data)) * self.words.idf.cpu().numpy()[cells.indices]
        lengths = np.sqrt(np.asarray(cells.multiply(cells).sum(1)).ravel())
        cells.data /= np.repeat(lengths, np.diff(cells.indptr))
        return cells

    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        texts = texts_of(items, limit=self.config.limit)

        def vectors(distinct: list[str]) -> np.ndarray:
            return np.asarray(self._weighed(tokenised(distinct, self.config.ngrams)) @ self.axes.cpu().numpy())

        return spread(texts, vectors, self.config.dim)

    @property
    def version(self) -> str:
        return version_of(self)
