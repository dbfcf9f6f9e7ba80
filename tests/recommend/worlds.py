"""What the tests here stand on: a model whose answers can be computed by hand, random requests, and every real model, trained."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import torch
from hypothesis import strategies as st
from torch import Tensor

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.synthetic import chain
from tastemaker.data.vocabulary import FIRST
from tastemaker.models.base import Model, Query, RetrievalModel, Solvable
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_class
from tastemaker.settings import Settings
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train


class Grid(RetrievalModel):
    """Item vectors on a small integer grid, so that sums are exact and ties are common; a user is the sum of the history."""

    def __init__(self, num_items: int = 40, num_users: int = 30, dim: int = 3) -> None:
        super().__init__(Settings(), FeatureSchema(num_users, num_items))
        generator = torch.Generator().manual_seed(num_items)
        self.register_buffer("vectors", torch.randint(-2, 3, (num_items, dim), generator=generator).float())
        self.encoded_items = 0

    def encode_user(self, query: Query) -> Tensor:
        sums = torch.zeros(len(query), self.vectors.shape[1])
        return sums.index_add(0, query.rows, self.vectors[query.items])

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        self.encoded_items += 1
        return self.vectors if codes is None else self.vectors[codes]


def by_hand(model: Grid, row: list[int], k: int, banned: set[int], allowed: set[int]) -> list[int]:
    """The list of one user by sorting all items in plain Python."""
    vector = model.vectors[row].sum(0)
    scores = (model.vectors @ vector).tolist()
    open_to = [code for code in range(FIRST, len(scores)) if code in allowed and code not in banned]
    return sorted(open_to, key=lambda code: (-scores[code], code))[:k]


rows_of_codes = st.lists(st.lists(st.integers(FIRST, 39), max_size=12), min_size=1, max_size=9)
codes = st.sets(st.integers(FIRST, 39), max_size=38)


def ragged(rows: list[list[int]]) -> Histories:
    return Histories.of([np.array(row, np.int32) for row in rows])


def trained(name: str, dataset: Dataset) -> Model:
    """The model of a name, small and trained on the dataset for a few seconds at most."""
    cls = model_class(name)
    small = {"dim": 16, "factors": 16, "blocks": 1, "max_length": 20}
    model = cls(cls.Config.parse({key: small[key] for key in small if key in cls.Config.model_fields}), dataset.schema)
    if dataset.catalogue.num_columns:
        model.observe_catalogue(dataset.catalogue)
    if isinstance(model, Solvable):
        model.solve(dataset.interactions)
    else:
        torch.manual_seed(0)
        config = TrainConfig(epochs=40, learning_rate=0.01, precision="float32", device="cpu")
        for _ in train(model, dataset.interactions, config):
            pass
    return model.eval()


@cache
def recommender(name: str) -> Recommender:
    """A recommender on the chain world (order decides), with item names and one user without events."""
    dataset = chain(60, 20, 8).dataset
    ids = dataset.items.ids.to_pylist()
    catalogue = pa.table({"price": list(range(len(ids))), "title": [f"Thing {item}" for item in ids]})
    users = dataset.users.grown(["newcomer"])
    dataset = replace(dataset, users=users, catalogue=catalogue, profiles=pa.table({}))
    return Recommender.of(trained(name, dataset), dataset)
