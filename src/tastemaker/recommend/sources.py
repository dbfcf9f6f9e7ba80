"""Sources: retrieval models side by side, and the pool of candidates that they find together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.models.base import Model, Query, RetrievalModel
from tastemaker.recommend.candidates import rank
from tastemaker.recommend.scoring import Scoring

_CELLS = 1 << 24
"""Scores held at a time: 64 MB of float32."""


@dataclass(frozen=True, eq=False)
class Source:
    """A retrieval model among others."""

    name: str
    scoring: Scoring
    depth: int
    """candidates it brings"""

    @property
    def model(self) -> Model:
        """The model."""
        return self.scoring.model

    def retrieve(
        self, users: np.ndarray, histories: Histories, *, exclude: Histories | None = None, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """The best items of each user, int32 (users, depth), 0 beyond the last; see `candidates.retrieve`."""
        found = rank(self.scoring, users, histories, self.depth, num_items=self.scoring.size, exclude=exclude, allowed=allowed)
        return found.codes

    def standardised(self, query: Query, items: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """What the model thinks of items, in deviations from the mean of the user's scores over the known catalogue: float32 (rows,).

        A user for whom all items score alike has zeros, and so has an item that the model cannot score.

        Args:
            query: the users.
            items: int32 (rows,): item codes.
            owner: int64 (rows,): the place of each row's user in the query, ascending.
        """
        return Opinion.of(self, query).standing(items, owner)

    def over(self, scoring: Scoring) -> Source:
        """The same source with a scoring of the same model over a catalogue that grew."""
        other = Source(self.name, scoring, self.depth)
        if "_spread" in self.__dict__:  # of known items
            other.__dict__["_spread"] = self._spread
        return other

    def prepare(self) -> None:
        """Computes what the first question would have to wait for."""
        if isinstance(self.model, RetrievalModel) and self.scoring.vectors is not None:
            self._spread  # noqa: B018
        elif not self.model.personal:
            self.same  # noqa: B018

    @cached_property
    def same(self) -> tuple[Tensor, np.ndarray, Tensor, Tensor]:
        """Of a model that says the same to everybody: its scores float32 (size,), the codes of items in their order, mean and deviation."""
        nobody = query_of(self.model, np.array([UNKNOWN]), Histories.of([np.zeros(0, np.int32)]))
        with torch.inference_mode():
            line = self.scoring(nobody)[0].float()
            known = line[FIRST : self.model.schema.num_items]
            order = line[FIRST:].sort(descending=True, stable=True)
            codes = order.indices[order.values > -torch.inf].numpy() + FIRST
            return line, codes, known.mean(), known.std(correction=0)

    @cached_property
    def _spread(self) -> tuple[Tensor, Tensor]:
        assert self.scoring.vectors is not None
        vectors = self.scoring.vectors[FIRST : self.model.schema.num_items].double()
        mean = vectors.mean(0)
        centred = vectors - mean
        return mean.float(), (centred.T @ centred / max(1, len(vectors))).float()


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a source thinks for some users: the model is asked once, for the best items and for how any item stands."""

    source: Source
    users: Tensor | None
    """float32 (users, dim) of retrieval models"""
    scores: Tensor | None
    """float32 (users, size) of others"""
    mean: Tensor
    deviation: Tensor
    """float32 (users,): of the scores over the known catalogue"""

    @classmethod
    def of(cls, source: Source, query: Query, *, out: Tensor | None = None) -> Opinion:
        """Asks; `out`, float32 (users, size), takes the scores of models that give no vectors."""
        model, scoring = source.model, source.scoring
        with torch.inference_mode():
            if isinstance(model, RetrievalModel) and scoring.vectors is not None:
                # the mean over the catalogue is the score of the mean vector, and the variance a form of the vectors' covariance
                users = model.encode_user(query).float()
                mean, covariance = source._spread
                return cls(source, users, None, users @ mean, ((users @ covariance) * users).sum(1).clamp_min(0).sqrt())
            if not model.personal:
                line, _, mean, deviation = source.same
                rows = len(query)
                return cls(source, None, line.expand(rows, -1), mean.expand(rows), deviation.expand(rows))
            scores = scoring(query, out=out).float()
            known = scores[:, FIRST : model.schema.num_items]
            return cls(source, None, scores, known.mean(1), known.std(1, correction=0))

    def kept(self) -> Opinion:
        """The same, whatever becomes of the memory that the scores were put into."""
        return self if self.scores is None or not self.source.model.personal else replace(self, scores=self.scores.clone())

    @classmethod
    def joined(cls, parts: Sequence[Opinion | None]) -> Opinion:
        """The users of all parts, one part after the other; None is a user of whom nothing is thought, so that all items stand alike."""
        there = [part for part in parts if part is not None]

        def flat(name: str) -> Tensor | None:
            first = getattr(there[0], name)
            if first is None:
                return None
            return torch.cat([torch.zeros_like(first[:1]) if part is None else getattr(part, name) for part in parts])

        mean, deviation = flat("mean"), flat("deviation")
        assert mean is not None and deviation is not None
        return cls(there[0].source, flat("users"), flat("scores"), mean, deviation)

    def raw(self, items: np.ndarray, owner: np.ndarray) -> Tensor:
        """The scores of items, float32 (rows,)."""
        places, rows = torch.from_numpy(items.astype(np.int64)), torch.from_numpy(owner)
        with torch.inference_mode():
            if self.users is None:
                assert self.scores is not None
                return self.scores[rows, places]
            vectors = self.source.scoring.vectors
            assert vectors is not None
            return (self.users.index_select(0, rows) * vectors.index_select(0, places).float()).sum(1)

    def standing(self, items: np.ndarray, owner: np.ndarray) -> np.ndarray:
        """See `Source.standardised`."""
        rows = torch.from_numpy(owner)
        with torch.inference_mode():
            return _scaled(self.raw(items, owner), self.mean.index_select(0, rows), self.deviation.index_select(0, rows))


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates of each request, none twice, in the order in which the sources name them: all firsts, then all seconds…"""

    items: np.ndarray
    """int32 (rows,): item codes, one request after the other"""
    owner: np.ndarray
    """int64 (rows,): the request of each, ascending"""
    found: np.ndarray
    """int64 (rows,): bit s says that source s named it"""

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def merged(cls, lists: Sequence[np.ndarray]) -> Pool:
        """The pool of each source's lists, int (requests, depth), codes 0 beyond the last."""
        requests, depth = lists[0].shape[0], max(one.shape[1] for one in lists)
        named = np.zeros((requests, depth, len(lists)), np.int32)
        for place, one in enumerate(lists):
            named[:, : one.shape[1], place] = one
        flat = named.reshape(requests, -1)
        owner, position = np.nonzero(flat)
        codes = flat[owner, position]
        source = position % len(lists)
        order = np.lexsort((position, codes, owner))
        owner, position, codes, source = owner[order], position[order], codes[order], source[order]
        if not len(codes):
            return cls(codes, owner, np.zeros(0, np.int64))
        fresh = np.ones(len(codes), bool)
        fresh[1:] = (codes[1:] != codes[:-1]) | (owner[1:] != owner[:-1])
        first = np.flatnonzero(fresh)
        found = np.bitwise_or.reduceat(np.int64(1) << source, first)
        kept = np.lexsort((position[first], owner[first]))
        return cls(codes[first][kept], owner[first][kept], found[kept])


def query_of(model: Model, users: np.ndarray, histories: Histories) -> Query:
    """The model's question about users; codes beyond its own become UNKNOWN."""
    sizes = model.schema
    items = np.where(histories.items < sizes.num_items, histories.items, np.int32(UNKNOWN))
    known = np.where(users < sizes.num_users, users, UNKNOWN)
    return Query.of(known, Histories(items, histories.times, histories.values, histories.offsets))


def batches(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Requests in batches whose scores over a catalogue of `size` fit into memory, in their order."""
    most = max(1, min(256, _CELLS // max(1, size)))
    return [np.arange(start, min(start + most, len(lengths))) for start in range(0, len(lengths), most)]


def _scaled(raw: Tensor, mean: Tensor, deviation: Tensor) -> np.ndarray:
    flat = deviation <= 1e-6 * mean.abs()
    found = torch.where(flat, 0.0, (raw - mean) / deviation.masked_fill(flat, 1.0))
    return found.nan_to_num(0.0, 0.0, 0.0).numpy()
