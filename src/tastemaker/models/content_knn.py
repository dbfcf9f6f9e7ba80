"""Content k-NN: items are alike when they are made of the same words and values; a user is shown what is like the things in their history."""

from __future__ import annotations

import difflib

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.contents import Cells
from tastemaker.data.interactions import Interactions
from tastemaker.data.item_contents import ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import DataError
from tastemaker.models.base import Model, Query
from tastemaker.nn.contents import rarities, weighed
from tastemaker.nn.likeness import alike
from tastemaker.nn.similarity import nearest_rows, squared_norms
from tastemaker.nn.sparse import SparseMatrix
from tastemaker.settings import Settings


class ContentKnn(Model):
    """Score of item i = Σ likeness(i, j)^sharpness over the history's items j that are among the k items most like i.

    Likeness is the cosine of tf-idf vectors over the catalogue's words, categories and binned numbers (`tastemaker.data.contents`):
    the vector space model of Salton, Wong & Yang 1975, "A vector space model for automatic indexing", in a content-based recommender
    as Pazzani & Billsus 2007, "Content-based recommendation systems", §10.2, have it with nearest neighbours. Deviations: all
    properties are in one vector; neighbours are chosen for the item that is scored, so that each item, however odd, is like something.

    With contents (`[content]`) the cosines are those of their vectors, the mean over the modalities that two items both have.

    Nothing is learned of who took what, so an item without a single event is scored like any other as long as the catalogue describes
    it. Known and unseen users alike are what their history says; its order does not matter. An item that nothing in the history is
    like scores -1 / (1 + its number of users), so such items follow all others, the most popular first; a user with nothing gets the
    popularity order.
    """

    class Config(Settings):
        """Which columns are compared, and how sharply."""

        neighbours: int = Field(default=200, ge=1, description="Neighbours kept for an item.")
        sharpness: float = Field(
            default=2.0, gt=0, description="Power of a likeness: above 1 a twin is not outvoted by many faint resemblances."
        )
        columns: tuple[str, ...] = Field((), description="Columns of the catalogue to compare by; default: all.")

    needs_catalogue = True
    solves = ("two_tastes",)
    config: Config
    popularity: Tensor
    """float32 (num_items,): users a training item has"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.similar = SparseMatrix(schema.num_items, schema.num_items)
        """Row i: the neighbours of item i."""
        self.register_buffer("popularity", torch.zeros(schema.num_items))

    def observe_catalogue(self, catalogue: pa.Table) -> None:
        """Finds the neighbours of each item, unless contents tell them.

        Raises:
            DataError: the catalogue has no columns, or not those of the config.
        """
        if self.schema.content is not None:
            return
        names = self.config.columns or tuple(catalogue.column_names)
        if not catalogue.num_columns:
            raise DataError("items without properties", expected="a catalogue", hint="name its file or table: [data] items = …")
        for name in names:
            if name not in catalogue.column_names:
                near = difflib.get_close_matches(name, catalogue.column_names, n=1, cutoff=0.5)
                known = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(catalogue.column_names)}"
                raise DataError(f"no column {name!r} in the catalogue", hint=known)
        cells = Cells.of([{}] * FIRST + catalogue.select(names).to_pylist())
        counts = cells.counts(cells.edges())
        rows = weighed(counts, rarities(counts))
        similar = nearest_rows(
            rows,
            rows.T.tocsr(),
            squared_norms(rows),
            similarity="cosine",
            shrinkage=0.0,
            asymmetry=0.5,
            neighbours=self.config.neighbours,
            not_with=np.arange(self.schema.num_items),
        )
        self._take(similar)

    def observe_contents(self, contents: ItemContents, interactions: Interactions) -> None:
        """Finds the neighbours of each item by the vectors of its contents, in place of the catalogue's words."""
        self._take(alike(contents, self.config.neighbours))

    @property
    def reads_contents(self) -> bool:
        return self.schema.content is not None

    def _take(self, similar: sp.csr_matrix) -> None:
        similar.data **= self.config.sharpness
        self.similar.set(similar)

    def solve(self, interactions: Interactions) -> None:
        cells = interactions.matrix(self.schema.num_users, self.schema.num_items)
        self.popularity = torch.from_numpy(np.bincount(cells.indices, minlength=cells.shape[1]).astype(np.float32))

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        history = query.matrix(self.schema.num_items)
        similar = self.similar.transposed if items is None else self.similar.csr[items.cpu().numpy()].T
        scores = torch.from_numpy((history @ similar).toarray()).to(self.popularity.device)
        popularity = self.popularity if items is None else self.popularity[items]
        return torch.where(scores > 0, scores, -1 / (1 + popularity))

    def contributions(self, query: Query, items: Tensor) -> Tensor:
        shares = query.shares(self.schema.num_items)
        return self.similar.at(items[query.rows], query.items) * shares
