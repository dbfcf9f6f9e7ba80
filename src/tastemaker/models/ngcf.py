"""NGCF: graph convolution with weights, a nonlinearity and an interaction term in each layer."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.graph import BipartiteGraph
from tastemaker.settings import Settings

Sides = tuple[Tensor, Tensor]


class NGCF(RetrievalModel):
    """Score = e_u · e_i, all layers side by side: e^(k+1) = LeakyReLU(W₁ (e + m) + W₂ (m ⊙ e)), m what the neighbours send.

    Wang, He, Wang, Feng & Chua 2019, "Neural graph collaborative filtering", eq. 3 to 10; each layer after the first is scaled to length
    one, as the authors' code does. Deviations: the loss and its cosines as in `lightgcn`; message dropout alone, node dropout is left out.

    A user is what the history's items send, layer by layer, and an embedding of one's own, which is zero for a user unseen in training.
    A user with nothing gets the mean user's vector.
    """

    class Config(Settings):
        """Settings of `ngcf`."""

        dim: int = Field(64, gt=0, description="size of a layer's vectors")
        layers: int = Field(3, ge=1, description="steps over the graph")
        init: float = Field(0.1, gt=0, description="standard deviation of the first embeddings")
        similarity: Literal["dot", "cosine"] | None = Field(
            None, description="of user and item vectors; unset: cosine for a softmax, dot for other losses"
        )
        temperature: float = Field(0.1, gt=0, description="what cosines are divided by")
        dropout: float = Field(0.1, ge=0, lt=1, description="of what each layer gives")

    learns_from = "pairs"
    solves = ("two_tastes",)
    train_defaults: ClassVar = {"optimizer": "adam", "learning_rate": 0.01, "schedule": "linear"}

    config: Config

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.user_embedding = nn.Embedding(schema.num_users, config.dim)
        self.item_embedding = nn.Embedding(schema.num_items, config.dim)
        nn.init.normal_(self.user_embedding.weight, std=config.init)
        nn.init.normal_(self.item_embedding.weight, std=config.init)
        self.sums = nn.ModuleList(nn.Linear(config.dim, config.dim) for _ in range(config.layers))
        self.products = nn.ModuleList(nn.Linear(config.dim, config.dim) for _ in range(config.layers))
        self.dropout = Dropout(config.dropout)
        self.graph = BipartiteGraph(schema.num_users, schema.num_items)
        self._kept: list[Sides] | None = None
        self._usual: Tensor | None = None

    @classmethod
    def adapt(cls, config: Config, interactions: Interactions, loss: str | None = None) -> Config:
        softmax = loss in (None, "softmax", "cross_entropy")
        chosen: dict[str, Any] = {"similarity": config.similarity or ("cosine" if softmax else "dot")}
        return config.model_copy(update=chosen)

    def observe(self, interactions: Interactions) -> None:
        self.graph.connect(interactions.matrix(self.schema.num_users, self.schema.num_items))
        self.forget()

    def forget(self) -> None:
        self._kept = self._usual = None

    def encode_batch(self, batch: Batch) -> Encoded:
        layers = [users.index_select(0, batch.query.users) for users, _ in self._walked()]
        return Encoded(self._scaled(_joined(layers)), batch.rows)

    @torch.no_grad()
    def encode_user(self, query: Query) -> Tensor:
        walked, history = self._walked(), query.matrix(self.schema.num_items)
        known = self.graph.known_users()
        own = known[query.users].unsqueeze(1)
        vectors = torch.where(own, self.user_embedding.weight[query.users], 0.0)
        layers, edges = [vectors], vectors.new_zeros(len(query))
        for number, (_, items) in enumerate(walked[:-1]):
            sent, edges = self.graph.to_strangers(items, history)
            vectors = self._layer(number, vectors, sent)
            layers.append(vectors)
        if self._usual is None:
            self._usual = _joined([users[known] for users, _ in walked]).mean(0).nan_to_num(0.0)
        return self._scaled(torch.where((edges == 0).unsqueeze(1) & ~own, self._usual, _joined(layers)))

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        layers = [items if codes is None else F.embedding(codes, items) for _, items in self._walked()]
        vectors = _joined(layers)
        return F.normalize(vectors, dim=-1) if self.config.similarity == "cosine" else vectors

    def _walked(self) -> list[Sides]:
        """Layers 0…K of all users and items; with gradients in training."""
        if self._kept is None:
            with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
                users, items = self.user_embedding.weight, self.item_embedding.weight
                self._kept = [(users, items)]
                for number in range(self.config.layers):
                    sent = self.graph.to_users(items), self.graph.to_items(users)
                    users, items = self._layer(number, users, sent[0]), self._layer(number, items, sent[1])
                    self._kept.append((users, items))
        return self._kept

    def _layer(self, number: int, vectors: Tensor, sent: Tensor) -> Tensor:
        mixed = self.sums[number](vectors + sent) + self.products[number](sent * vectors)
        dropped: Tensor = self.dropout(F.leaky_relu(mixed, 0.2))
        return dropped

    def _scaled(self, users: Tensor) -> Tensor:
        return F.normalize(users, dim=1) / self.config.temperature if self.config.similarity == "cosine" else users


def _joined(layers: list[Tensor]) -> Tensor:
    return torch.cat([layers[0], *(F.normalize(layer, dim=-1) for layer in layers[1:])], dim=-1)
