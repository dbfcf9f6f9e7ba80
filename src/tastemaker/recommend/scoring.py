"""Scores of a model over a catalogue that may have grown since it was trained."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tastemaker.data.vocabulary import FIRST
from tastemaker.models.base import Model, Query, RetrievalModel
from tastemaker.recommend import newcomers


class Scoring:
    """A model's scores: of all items, newcomers included, or of some.

    Item codes from `model.schema.num_items` on are newcomers, which the model never saw: see `newcomers` for what their scores are
    made of. For retrieval models that is a vector of its own, computed here once like those of known items.
    """

    def __init__(self, model: Model, weights: sp.csr_matrix | None = None) -> None:
        """`weights` are those of the newcomers, float32 (newcomers, num_items). The model is put into evaluation mode."""
        self.model = model.eval()
        self.newcomers = weights if weights is not None and weights.shape[0] else None
        self.size = model.schema.num_items + (0 if self.newcomers is None else self.newcomers.shape[0])
        self.vectors: Tensor | None = None
        """(size, dim) of retrieval models"""
        self._blind: Tensor | None = None
        if isinstance(model, RetrievalModel):
            with torch.inference_mode():
                self.vectors = self._with_newcomers(model.encode_item().detach())

    def __call__(self, query: Query, items: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
        """Scores of a query: (batch, size), or (batch, candidates) for item codes `items`, int64 (candidates,).

        `out`, float32 (batch, size), takes the scores of all items where it is given, and is returned.
        """
        if isinstance(self.model, RetrievalModel) and self.vectors is not None:
            users = self.model.encode_user(query)
            vectors = self.vectors if items is None else self.vectors[items]
            scores = users @ vectors.T if out is None or items is not None else torch.mm(users, vectors.T, out=out)
            if self._blind is not None:
                scores.masked_fill_(self._blind if items is None else self._blind[items], -torch.inf)
            return scores
        if items is not None and (self.newcomers is None or not bool((items >= self.model.schema.num_items).any())):
            return self.model.score(query, items)
        scores = self.model.score(query)
        if self.newcomers is not None:
            known = scores.float().cpu().numpy()
            scores = torch.from_numpy(newcomers.extended(known, self.newcomers)).to(scores.device)
        if items is not None:
            return scores[:, items]
        return scores if out is None else out.copy_(scores)

    @cached_property
    def directions(self) -> Tensor:
        """Item vectors less the mean of known items, of length 1 (size, dim); for retrieval models."""
        assert self.vectors is not None
        with torch.inference_mode():
            vectors = self.vectors.float()
            # what is common to all items (a bias column, say) moves no ranking, so it is no likeness either
            mean = vectors[FIRST : self.model.schema.num_items].mean(dim=0)
            return torch.nn.functional.normalize(vectors - mean, dim=-1)

    def _with_newcomers(self, known: Tensor) -> Tensor:
        """Item vectors followed by those of newcomers: what `newcomers.extended` does to scores, done to what they are products of."""
        if self.newcomers is None:
            return known
        sums = np.asarray(self.newcomers.sum(axis=1), dtype=np.float32)
        vectors = known.float().cpu().numpy()
        fresh = self.newcomers @ vectors + (1 - sums) * vectors[FIRST:].mean(axis=0)
        blind = np.concatenate([np.zeros(len(vectors), bool), sums.ravel() <= 0])
        self._blind = torch.from_numpy(blind).to(known.device) if blind.any() else None
        return torch.cat([known, torch.from_numpy(fresh.astype(np.float32)).to(known)])
