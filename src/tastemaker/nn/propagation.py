"""Embeddings of users and items carried over the graph of who chose what, in training and for whoever asks later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import scipy.sparse as sp
import torch
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.nn.entity import init_table, item_table
from tastemaker.nn.graph import BipartiteGraph
from tastemaker.nn.sparse import SizedByData

Sides = tuple[Tensor, Tensor]
"""Vectors of all users and of all items."""


@dataclass(frozen=True, eq=False)
class _Settled:
    """What asking needs, once the weights stand still."""

    items: Tensor
    """float32 (num_items, dim): the final vectors"""
    messages: Tensor
    """float32 (num_items, dim): what items send their users, in all layers together"""
    usual: Tensor
    """float32 (dim,): the mean vector of the users with an edge"""


class Propagation(SizedByData):
    """e^(k+1) = Ã e^(k), Ã = [0 R̃; R̃ᵀ 0], and the mean of the layers: the part that LightGCN and its successors share.

    A user's vector is Σ_k Σ_i e_i^(k) / √(d_u d_i) over the layers, plus the user's own first embedding if that counts. So it
    can be had from any history: `users_now` gives a user in the graph, asked with the history that is in the graph, the vector that
    training saw, one who has done more since a newer one, and a user unseen in training one without an own embedding.
    """

    def __init__(self, schema: FeatureSchema, dim: int, layers: int, *, first: bool, init: float) -> None:
        """`first`: whether layer 0 counts in the mean; `init`: standard deviation of the first embeddings."""
        super().__init__()
        self.user_embedding = nn.Embedding(schema.num_users, dim)
        self.item_embedding = item_table(schema, dim)
        nn.init.normal_(self.user_embedding.weight, std=init)
        init_table(self.item_embedding, init)
        self.graph = BipartiteGraph(schema.num_users, schema.num_items)
        self.layers, self.first = layers, first
        self._settled: _Settled | None = None

    @property
    def counted(self) -> int:
        """Layers in the mean."""
        return self.layers + self.first

    def forget(self) -> None:
        self._settled = None

    def walk(self, disturb: Callable[[Tensor], Tensor] | None = None) -> list[Sides]:
        """Layers 0…K of all users and items, with gradients; each but the first through `disturb`."""
        users, items = self.user_embedding.weight, self.item_embedding.weight
        found = [(users, items)]
        for _ in range(self.layers):
            users, items = self.graph.to_users(items), self.graph.to_items(users)
            if disturb:
                users, items = disturb(users), disturb(items)
            found.append((users, items))
        return found

    def mean(self, found: list[Sides]) -> Sides:
        """The mean of the layers that count."""
        users, items = zip(*found[not self.first :], strict=True)
        return _sum(users) / self.counted, _sum(items) / self.counted

    def items_now(self) -> Tensor:
        """float32 (num_items, dim): final vectors, without gradients."""
        return self._settle().items

    def users_now(self, users: Tensor, history: sp.csr_matrix) -> Tensor:
        """float32 (batch, dim): final vectors of user codes (batch,) whose history is a 0/1 row (batch, num_items).

        A user with nothing gets the usual vector.
        """
        settled = self._settle()
        vectors, edges = self.graph.to_strangers(settled.messages, history)
        nothing = edges == 0
        if self.first:
            own = self.graph.known_users()[users]
            vectors = vectors + torch.where(own.unsqueeze(1), self.user_embedding.weight.detach()[users] / self.counted, 0.0)
            nothing = nothing & ~own
        return torch.where(nothing.unsqueeze(1), settled.usual, vectors)

    @torch.no_grad()
    def _settle(self) -> _Settled:
        if self._settled is None:
            found = self.walk()
            users, items = self.mean(found)
            messages = _sum([layer for _, layer in found[:-1]]) / self.counted
            usual = users[self.graph.known_users()].mean(0).nan_to_num(0.0)
            self._settled = _Settled(items, messages, usual)
        return self._settled


def _sum(layers: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    total = layers[0]
    for layer in layers[1:]:
        total = total + layer
    return total
