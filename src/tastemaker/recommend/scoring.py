"""Scores of a model over a catalogue that may have grown since it was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from tastemaker.data.vocabulary import FIRST
from tastemaker.index.exact import top_k
from tastemaker.index.rounded import Rounded, fits
from tastemaker.models.base import Model, Query, RetrievalModel
from tastemaker.recommend import newcomers

_LARGE = 1 << 14
"""Items from which on a first look at rounded vectors pays; below that, users together are scored faster."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Vectors of items that were told of after the model was trained, from what they are: newcomers, and known items that changed.

    Of a newcomer that users have met, `use` takes over by and by: Σ_j u_j v_j + (1 - Σ_j u_j) · encoded, Σ_j u_j = n / (n + 5) after n users
    (see `newcomers`), so a vector begins with the contents and moves with each event.
    """

    codes: np.ndarray
    """int64 (items,), ascending"""
    vectors: np.ndarray
    """float32 (items, dim)"""
    use: sp.csr_matrix
    """float32 (newcomers, num_items): shares of known items, by use"""


class Scoring:
    """A model's scores: of all items, newcomers included, or of some; and its best items.

    Item codes from `model.schema.num_items` on are newcomers, which the model never saw: see `newcomers` for what their scores are
    made of. For retrieval models that is a vector of its own, computed here once like those of known items.
    """

    def __init__(
        self,
        model: Model,
        weights: sp.csr_matrix | None = None,
        *,
        like: Scoring | None = None,
        encoded: Encoded | None = None,
    ) -> None:
        """The model is put into evaluation mode.

        Args:
            model: a trained model.
            weights: those of the newcomers, float32 (newcomers, num_items).
            like: a scoring of the same model with other newcomers, whose work on known items is taken over.
            encoded: vectors of newcomers, which then stand in place of what neighbours say of them, and of known items that changed.
        """
        self.model = model.eval()
        self.newcomers = weights if weights is not None and weights.shape[0] else None
        self.size = model.schema.num_items + (0 if self.newcomers is None else self.newcomers.shape[0])
        self.vectors: Tensor | None = None
        """(size, dim) of retrieval models"""
        self.encoded = encoded
        self._known: Tensor | None = None
        self._changed = encoded is not None and bool((encoded.codes < model.schema.num_items).any())
        self._blind: Tensor | None = None
        self._rounded: Rounded | None = None
        if isinstance(model, RetrievalModel):
            with torch.inference_mode():
                known = model.encode_item().detach() if like is None or like._known is None else like._known
                self._known = known
                if encoded is not None and self._changed:
                    known = _replaced(known, encoded, model.schema.num_items)
                self.vectors = self._with_newcomers(known, encoded)
                # What the model itself says of known items; no copy of it where nothing changed.
                self._known = self._known if self._changed else self.vectors[: model.schema.num_items]
                if self.size >= _LARGE and fits(self.vectors):
                    made = None if like is None or like._changed or self._changed else like._rounded
                    self._rounded = Rounded(self.vectors, self._blind, like=made, same=model.schema.num_items)

    @property
    def searches(self) -> bool:
        """Whether `best` finds the best items without scores of all."""
        return self._rounded is not None

    def __call__(self, query: Query, items: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
        """Scores of a query: (batch, size), or (batch, candidates) for item codes `items`, int64 (candidates,).

        `out`, float32 (batch, size), takes the scores of all items where it is given, and is returned.
        """
        if isinstance(self.model, RetrievalModel) and self.vectors is not None:
            users = self.model.encode_user(query)
            if items is None:
                return self.products(users, out=out)
            scores = users @ self.vectors[items].T
            return scores if self._blind is None else scores.masked_fill_(self._blind[items], -torch.inf)
        if items is not None and (self.newcomers is None or not bool((items >= self.model.schema.num_items).any())):
            return self.model.score(query, items)
        scores = self.model.score(query)
        if self.newcomers is not None:
            known = scores.float().cpu().numpy()
            scores = torch.from_numpy(newcomers.extended(known, self.newcomers)).to(scores.device)
        if items is not None:
            return scores[:, items]
        return scores if out is None else out.copy_(scores)

    def products(self, users: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Scores of users whose vectors are known, (batch, size), of retrieval models."""
        assert self.vectors is not None
        scores = users @ self.vectors.T if out is None else torch.mm(users, self.vectors.T, out=out)
        return scores if self._blind is None else scores.masked_fill_(self._blind, -torch.inf)

    def best(
        self,
        query: Query,
        k: int,
        closed: Sequence[Tensor | None],
        banned: Sequence[np.ndarray],
        among: Sequence[np.ndarray | None] | None = None,
        *,
        users: Tensor | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best items of each user, where the scoring `searches`: values float32 (batch, k) and codes int32 (batch, k), best first.

        As `index.exact.top_k` has them, from scores that are exact but for one rounding to float32. A row does not depend on other rows
        but for its user's vector.

        Args:
            query: the users.
            k: length of the lists.
            closed: bool (size,) for each user: items that may not be returned; None for none.
            banned: int64 (bans,) for each user: codes of more such items.
            among: int64 (few,) for each user: the ascending codes that `closed` leaves open, where somebody has them and they are few; else
                None.

        Raises:
            TrainingError: an eligible score is NaN.
        """
        assert self._rounded is not None and self.vectors is not None and isinstance(self.model, RetrievalModel)
        values = np.full((len(query), k), -np.inf, np.float32)
        codes = np.zeros((len(query), k), np.int32)
        users = (self.model.encode_user(query) if users is None else users).float()
        for row, found in enumerate(self._rounded.best(users.numpy(), k, closed, banned, among)):
            if found is None:  # it overflows, or is no number: left to who knows what to make of that
                found = self._of_all(users[row], k, closed[row], banned[row])
            values[row, : len(found[0])], codes[row, : len(found[1])] = found
        return values, codes

    def _of_all(self, user: Tensor, k: int, closed: Tensor | None, banned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.vectors is not None
        scores = (user @ self.vectors.T)[None]
        for mask in (closed, self._blind):
            if mask is not None:
                scores.masked_fill_(mask, -torch.inf)
        bans = torch.from_numpy(banned)
        values, codes = top_k(scores, k, torch.zeros_like(bans), bans)
        return values[0].numpy(), codes[0].numpy()

    @cached_property
    def directions(self) -> Tensor:
        """Item vectors less the mean of known items, of length 1 (size, dim); for retrieval models."""
        assert self.vectors is not None
        with torch.inference_mode():
            vectors = self.vectors.float()
            # what is common to all items (a bias column, say) moves no ranking, so it is no likeness either
            mean = vectors[FIRST : self.model.schema.num_items].mean(dim=0)
            return torch.nn.functional.normalize(vectors - mean, dim=-1)

    def _with_newcomers(self, known: Tensor, encoded: Encoded | None) -> Tensor:
        """Item vectors followed by those of newcomers: what `newcomers.extended` does to scores, done to what they are products of."""
        if self.newcomers is None:
            return known
        sums = np.asarray(self.newcomers.sum(axis=1), dtype=np.float32)
        vectors = known.float().cpu().numpy()
        fresh = self.newcomers @ vectors + (1 - sums) * vectors[FIRST:].mean(axis=0)
        blind = np.concatenate([np.zeros(len(vectors), bool), sums.ravel() <= 0])
        if encoded is not None:
            mine = encoded.codes >= len(vectors)
            places = encoded.codes[mine] - len(vectors)
            use = encoded.use[places]
            rest = 1 - np.asarray(use.sum(axis=1), dtype=np.float32)
            fresh[places] = use @ vectors + rest * encoded.vectors[mine]
            blind[encoded.codes[mine]] = False
        self._blind = torch.from_numpy(blind).to(known.device) if blind.any() else None
        return torch.cat([known, torch.from_numpy(fresh.astype(np.float32)).to(known)])


def _replaced(known: Tensor, encoded: Encoded, size: int) -> Tensor:
    """Vectors of known items with those of changed ones in their place."""
    mine = encoded.codes < size
    rows = torch.from_numpy(encoded.vectors[mine]).to(known)
    return known.index_copy(0, torch.from_numpy(encoded.codes[mine]).to(known.device), rows)
