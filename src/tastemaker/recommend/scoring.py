"""Scores of a model over a catalogue that may have grown since it was trained."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tastemaker.data.vocabulary import FIRST
from tastemaker.models.base import Model, Query, RetrievalModel


class Scoring:
    """A model's scores: of all items, newcomers included, or of some.

    Item codes from `model.schema.num_items` on are newcomers, which the model never saw: each one's score is a weighted sum of scores
    of known items. For retrieval models that is a vector of its own, computed here once like those of known items.
    """

    def __init__(self, model: Model, newcomers: sp.csr_matrix | None = None) -> None:
        """`newcomers` holds the weights, float32 (newcomers, num_items). The model is put into evaluation mode."""
        self.model = model.eval()
        self.newcomers = newcomers if newcomers is not None and newcomers.shape[0] else None
        self.size = model.schema.num_items + (0 if self.newcomers is None else self.newcomers.shape[0])
        self.vectors: Tensor | None = None
        """(size, dim) of retrieval models"""
        if isinstance(model, RetrievalModel):
            with torch.inference_mode():
                self.vectors = self._stacked(model.encode_item(), 0)

    def __call__(self, query: Query, items: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
        """Scores of a query: (batch, size), or (batch, candidates) for item codes `items`, int64 (candidates,).

        `out`, float32 (batch, size), takes the scores of all items where it is given, and is returned.
        """
        if isinstance(self.model, RetrievalModel) and self.vectors is not None:
            users = self.model.encode_user(query)
            if items is not None:
                return users @ self.vectors[items].T
            return users @ self.vectors.T if out is None else torch.mm(users, self.vectors.T, out=out)
        if items is not None and (self.newcomers is None or not bool((items >= self.model.schema.num_items).any())):
            return self.model.score(query, items)
        scores = self._stacked(self.model.score(query), 1)
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

    def _stacked(self, known: Tensor, dim: int) -> Tensor:
        """What is known of the model's items, followed along `dim` by what stands for the newcomers."""
        if self.newcomers is None:
            return known
        values = known.float().cpu().numpy()
        values = np.where(np.isfinite(values), values, 0)  # PAD may hold anything, and weighs nothing
        fresh = self.newcomers @ values if dim == 0 else (self.newcomers @ values.T).T
        return torch.cat([known, torch.from_numpy(np.ascontiguousarray(fresh, np.float32)).to(known)], dim=dim)
