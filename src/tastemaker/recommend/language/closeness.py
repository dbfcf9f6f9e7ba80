"""An encoder of sentences as a re-ranker: candidates in the order of their cosine to what the user chose.

It writes nothing, costs no call, and knows only how titles are worded; see `docs/log.md` for what that is worth.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tastemaker.encoders.base import Encoder
from tastemaker.recommend.held import Held
from tastemaker.recommend.language.settings import LanguageSettings
from tastemaker.resolve import encoder_class

_HELD = 50_000
"""Vectors of texts held: 77 MB of MiniLM's."""
_ENCODER = "transformer"


class Closeness:
    """Vectors of texts are made once and held. Safe to use from several threads."""

    def __init__(self, settings: LanguageSettings, encoder: Encoder | None = None) -> None:
        """Loads the encoder, or takes one that reads a text column.

        Raises:
            ConfigError: the folder holds none.
            MissingExtraError: a package is missing.
        """
        self._encoder = encoder or _loaded(settings)
        self._held: Held[np.ndarray] = Held(_HELD)
        self._lock = threading.Lock()
        self.name = f"{self._encoder.version} cosine"
        self.order(["warm"], ["up", "at once"])

    def order(self, history: Sequence[str], candidates: Sequence[str]) -> list[int]:
        """Places of the candidates from 0, the closest first; ties, and who has no history, in the order they had.

        A candidate is as close as the mean of its cosines to the items of the history.
        """
        vectors = self._vectors([*history, *candidates])
        past, asked = vectors[: len(history)], vectors[len(history) :]
        closeness = asked @ past.mean(axis=0) if len(past) else np.zeros(len(asked))
        return np.argsort(-closeness, kind="stable").tolist()

    def _vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Of unit length, float32 (texts, dim); zeros where there is nothing to encode."""
        found = {text: self._held.get(text) for text in texts}
        missing = [text for text, vector in found.items() if vector is None]
        if missing:
            with self._lock:
                values = self._encoder.encode(pa.table({"text": missing})).values
            made: Any = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
            for text, vector in zip(missing, made, strict=True):
                found[text] = vector
                self._held.put(text, vector)
        return np.stack([vector for text in texts if (vector := found[text]) is not None])


def _loaded(settings: LanguageSettings) -> Encoder:
    kind = encoder_class(_ENCODER)
    encoder = kind(kind.Config.parse({"model": settings.model} if settings.model else {}, "language"))
    encoder.eval()
    return encoder
