"""AutoRec: an autoencoder of the ratings of each item."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.ragged import like_lengths
from tastemaker.nn.sparse import SparseMatrix
from tastemaker.settings import Settings

_CELLS = 1 << 24  # numbers in the systems of users that are folded in together


class AutoRec(RetrievalModel):
    """I-AutoRec: an item is a hidden state read from the ratings that it got, for explicit values.

    Sedhain, Menon, Sanner & Xie 2015, "AutoRec: autoencoders meet collaborative filtering", eq. 3. With an item's ratings r, its state is
    h = σ(Vᵀr + m), and the value that a user with the row w and the bias b of the last layer gives it is μ + b + w · h. The ratings of
    the training side are part of the model. `loss = "squared_error"`; the paper's penalty on ‖V‖² and ‖W‖² is `train.weight_decay` with
    the optimizer "adam". U-AutoRec, which reads the ratings of a user instead, is not here: the paper finds larger errors with it.

    Deviations: the mean μ is taken off the ratings, so that an unrated cell, 0, stands for the mean; a step looks at some of all
    ratings, not at all ratings of some items; some of an item's ratings and of its state can be left out in training; predictions stay
    inside the range seen in training.

    A user unseen in training is folded in: the ridge solution of their ratings against the items' states, pulled towards the mean
    trained user. A user with nothing is that mean user.
    """

    class Config(Settings):
        """Settings of `autorec`."""

        hidden: int = Field(500, gt=0, description="size of the hidden layer")
        dropout: float = Field(0.3, ge=0, lt=1, description="share of an item's ratings that is left out in training")
        hidden_dropout: float = Field(0.3, ge=0, lt=1, description="share of the hidden layer that is left out in training")
        fold_in_regularization: float = Field(1.0, gt=0, description="ridge of users unseen in training")

    learns_from = "pairs"
    needs_history = False
    train_defaults: ClassVar = {
        "loss": "squared_error",
        "optimizer": "adam",
        "learning_rate": 0.003,
        "weight_decay": 3e-5,
        "schedule": "linear",
        "batch_targets": 65_536,
    }
    config: Config
    mean: Tensor
    low: Tensor
    high: Tensor
    trained: Tensor
    """bool (num_users,)"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.ratings = SparseMatrix(schema.num_items, schema.num_users)
        """Row i: the ratings of item i, less their mean."""
        self.input = nn.Parameter(torch.empty(schema.num_users, config.hidden))
        self.input_bias = nn.Parameter(torch.zeros(config.hidden))
        self.output = nn.Parameter(torch.empty(schema.num_users, config.hidden))
        self.output_bias = nn.Parameter(torch.zeros(schema.num_users))
        self.dropout = Dropout(config.hidden_dropout)
        for weight in (self.input, self.output):
            nn.init.normal_(weight, std=(2 / (schema.num_users + config.hidden)) ** 0.5)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("low", torch.tensor(-torch.inf))
        self.register_buffer("high", torch.tensor(torch.inf))
        self.register_buffer("trained", torch.zeros(schema.num_users, dtype=torch.bool))
        self._table: Tensor | None = None

    def observe(self, interactions: Interactions) -> None:
        values = interactions.value
        self.trained[torch.from_numpy(interactions.user).long().unique()] = True
        self.mean.fill_(float(values.mean(dtype=np.float64)))
        self.low.fill_(float(values.min()))
        self.high.fill_(float(values.max()))
        # The newest where somebody rated an item twice: rows are in order of time.
        pairs = interactions.item.astype(np.int64) * self.schema.num_users + interactions.user
        _, last = np.unique(pairs[::-1], return_index=True)
        last = len(pairs) - 1 - last
        cells = (values[last] - float(self.mean), (interactions.item[last], interactions.user[last]))
        self.ratings.set(sp.csr_matrix(cells, shape=self.ratings.shape))

    def forget(self) -> None:
        self._table = None

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        if self.training:
            return self._items(self.ratings.csr) if codes is None else self._asked(codes)
        if self._table is None:
            with torch.inference_mode(False), torch.no_grad():  # it is kept, and may be asked for outside of that mode
                self._table = self._items(self.ratings.csr)
        return self._table if codes is None else self._table[codes]

    def _asked(self, codes: Tensor) -> Tensor:
        unique, places = codes.unique(return_inverse=True)
        return F.embedding(places, self._items(self.ratings.csr[unique.cpu().numpy()]))

    def _items(self, ratings: sp.csr_matrix) -> Tensor:
        """The hidden state and a 1 of each row of ratings: (rows, hidden + 1)."""
        device = self.input.device
        values = torch.from_numpy(ratings.data).to(device)
        if self.training:
            values = F.dropout(values, self.config.dropout)
        summed = F.embedding_bag(
            torch.from_numpy(ratings.indices.astype(np.int64)).to(device),
            self.input,
            torch.from_numpy(ratings.indptr.astype(np.int64)).to(device),
            mode="sum",
            per_sample_weights=values,
            include_last_offset=True,
        )
        hidden = self.dropout(torch.sigmoid(summed + self.input_bias))
        return torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1)

    def encode_user(self, query: Query) -> Tensor:
        vectors = torch.cat([self.output, self.output_bias.unsqueeze(1)], dim=1).index_select(0, query.users)
        if not self.training:
            trained = self.trained[query.users]
            if not bool(trained.all()):
                vectors = self._folded_in(query.known(), vectors, trained)
        return vectors + F.pad(self.mean.view(1), (self.config.hidden, 0))

    def score_each(self, query: Query, items: Tensor, rows: Tensor | None = None, times: Tensor | None = None) -> Tensor:
        return super().score_each(query, items, rows, times).clamp(self.low, self.high)

    def _folded_in(self, query: Query, vectors: Tensor, trained: Tensor) -> Tensor:
        """`vectors` (batch, hidden + 1) with those of untrained users replaced."""
        table, device = self.encode_item(), vectors.device
        known = self.trained.nonzero().squeeze(1)
        usual = torch.cat([self.output[known], self.output_bias[known].unsqueeze(1)], dim=1).sum(0) / max(1, len(known))
        vectors = torch.where(trained.unsqueeze(1), vectors, usual)
        lengths = torch.where(trained, 0, query.lengths)
        starts, offsets = query.offsets[:-1].cpu().numpy(), F.pad(lengths.cumsum(0), (1, 0)).cpu().numpy()
        for rows, places, real in like_lengths(offsets, _CELLS):
            events = torch.from_numpy(places + (starts - offsets[:-1])[rows, None]).to(device)
            held = torch.from_numpy(real).to(device)
            seen = table[query.items[events]] * held.unsqueeze(2)
            left = torch.where(held, query.values[events] - self.mean - seen @ usual, 0.0)
            # w = Hᵀ (HHᵀ + λI)⁻¹ r: a system of the user's ratings, of which there are usually fewer than hidden states.
            systems = seen @ seen.mT
            systems.diagonal(dim1=1, dim2=2).add_(self.config.fold_in_regularization)
            weights = torch.cholesky_solve(left.unsqueeze(2), torch.linalg.cholesky(systems))
            vectors[torch.from_numpy(rows).to(device)] = usual + (seen.mT @ weights).squeeze(2)
        return vectors
