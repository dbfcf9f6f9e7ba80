"""Convolutions over words: an encoder small enough to be learned from the catalogue and its users alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.texts import texts_of
from tastemaker.data.vocabulary import FIRST
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.augment import Augment, AugmentSettings
from tastemaker.encoders.parts.skip_gram import SkipGram
from tastemaker.encoders.parts.texts import distinct, spread
from tastemaker.encoders.parts.tuning import Tuned, TuningSettings, tune
from tastemaker.encoders.parts.version import version_of
from tastemaker.encoders.parts.vocabulary import Words, tokenised
from tastemaker.log import logger
from tastemaker.settings import Settings

_BATCH = 256


class WordCnn(Encoder):
    """Convolutions of several widths over word vectors, the maximum over all positions, one linear map: CNN-non-static of Kim 2014.

    "Convolutional neural networks for sentence classification". Word vectors begin as a skip-gram of the catalogue's own texts; all weights are then fitted to what users take next
    (`tastemaker.encoders.parts.tuning`). Deviations: no classes, so the last map gives a vector, made of unit length; a window may reach
    beyond the end of a text, so that texts shorter than it have one. Unknown words are passed over; a text of nothing else is not there.
    """

    class Config(Settings):
        """Sizes, and how it is fitted."""

        dim: int = Field(64, ge=1, description="length of a vector")
        word_dim: int = Field(64, ge=1, description="length of a word's vector")
        widths: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="words that a convolution sees at a time")
        maps: int = Field(64, ge=1, description="features of each width")
        dropout: float = Field(0.2, ge=0, lt=1, description="of those features while it is fitted")
        longest: int = Field(200, ge=1, description="words of a text that are read")
        min_texts: int = Field(2, ge=1, description="texts that must have a word for it to count")
        max_words: int = Field(50_000, ge=1, description="words that count, the most frequent ones")
        limit: int = Field(20_000, ge=1, description="characters of a text that are read")
        tuning: TuningSettings = Field(TuningSettings.parse({}), description="how it is fitted to what users take next")
        augment: AugmentSettings = Field(AugmentSettings.parse({}), description="what is done to texts while it is fitted")

    reads = "text"
    config: Config
    vectors: Tensor
    """float32 (words, word_dim)"""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.words = Words()
        self.register_data_buffer("vectors", ndim=2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.tuning.seed)
            self.convolutions = nn.ModuleList(nn.Conv1d(config.word_dim, config.maps, width) for width in config.widths)
            self.last = nn.Linear(config.maps * len(config.widths), config.dim)
        self.tuned: Tuned | None = None
        """what fitting came to; None after loading"""

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        config = self.config
        texts, rows = distinct(texts_of(items, limit=config.limit))
        tokens = tokenised(texts)
        self.words.learn(tokens, min_texts=config.min_texts, max_share=1.0, most=config.max_words)
        codes, offsets = self.words.encode(tokens)
        learner = SkipGram(config.word_dim, 5, 5, 10, 1e-3, config.tuning.seed)
        self.vectors = (
            torch.from_numpy(learner.learn(codes, offsets, len(self.words))).to(self.last.weight.device).requires_grad_()
        )
        # Places of texts of which some word is known; the others are as if they were not there.
        known = np.append(np.diff(offsets) > 0, False)
        contents = np.concatenate([np.full(FIRST, -1), np.where(known[rows], rows, -1)])
        augment = Augment(config.augment, texts, config.tuning.seed) if config.augment.any else None

        def encode(places: np.ndarray) -> Tensor:
            chosen = [texts[place] for place in places.tolist()]
            if self.training and augment is not None:
                chosen = [augment(text) for text in chosen]
            return F.normalize(self._forward(*self.words.encode(tokenised(chosen))), dim=1)

        self.tuned = tune(self, [self.vectors, *self.parameters()], encode, contents, train, config.tuning, progress)
        self.vectors = self.vectors.detach()
        logger.info("word_cnn: %d words, %d weights, %d steps of tuning", len(self.words), self.tuned.trained, self.tuned.steps)

    def _forward(self, codes: np.ndarray, offsets: np.ndarray) -> Tensor:
        """(texts, dim); a text without a word gets what it may."""
        lengths = np.minimum(np.diff(offsets), self.config.longest)
        longest, reach = int(max(1, lengths.max(initial=1))), max(self.config.widths)
        grid = np.arange(longest)
        there = grid < lengths[:, None]
        places = np.zeros(there.shape, np.int64)
        places[there] = codes[(offsets[:-1, None] + grid)[there]]
        mask = torch.from_numpy(there).to(self.vectors.device)
        held = (
            F.embedding(torch.from_numpy(places).to(self.vectors.device), self.vectors)
            if len(self.vectors)
            else self.vectors.new_zeros(*places.shape, self.config.word_dim)
        )
        rows = F.pad((held * mask.unsqueeze(2)).transpose(1, 2), (0, reach - 1))
        # A window counts where it begins on a word, whatever the text is padded to.
        found = [
            convolution(rows)[:, :, :longest].masked_fill(~mask.unsqueeze(1), -torch.inf).amax(2)
            for convolution in self.convolutions
        ]
        features = F.relu(torch.cat(found, dim=1))
        vectors: Tensor = self.last(F.dropout(features, self.config.dropout, self.training))
        return vectors

    @torch.no_grad()
    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        def vectors(texts: list[str]) -> np.ndarray:
            tokens = tokenised(texts)
            order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
            found = np.zeros((len(texts), self.config.dim), np.float32)
            for start in range(0, len(order), _BATCH):
                part = order[start : start + _BATCH]
                codes, offsets = self.words.encode([tokens[place] for place in part])
                found[part] = self._forward(codes, offsets).cpu().numpy() * (np.diff(offsets) > 0)[:, None]
                if progress:
                    progress(min(start + _BATCH, len(order)), len(order))
            return found

        was = self.training
        self.eval()
        try:
            return spread(texts_of(items, limit=self.config.limit), vectors, self.config.dim)
        finally:
            self.train(was)

    @property
    def version(self) -> str:
        return version_of(self)
