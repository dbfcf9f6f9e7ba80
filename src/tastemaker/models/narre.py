"""NARRE: predicts ratings from what users and items are like and from their reviews, of which it learns which ones speak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.parts.reviewed import ReviewModel
from tastemaker.nn.documents import Side
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.segments import softmax, weighted_sum


class Narre(ReviewModel):
    """Predicts μ + b_u + b_i + (q_u + X_u) · (p_i + Y_i) + v · O_u + w · O_i, from reviews weighed by attention.

    Chen, Zhang, Liu & Ma 2018, "Neural attentional rating regression with review-level explanations". A document is
    O = Σ_r a_r O_r over its reviews, with a = softmax(hᵀ relu(W O_r + e_r)), e_r the vector of the item that review r of a user is
    about, or of the user who wrote review r of an item (eq. 5 to 8); X_u = W_X O_u and Y_i = W_Y O_i (eq. 9, 10). `reader` says
    what O_r is: a CNN over words (the paper, eq. 1 to 4), a bidirectional LSTM, or tf-idf on its first axes, which is not trained.

    **In training, what u wrote of i is left out of both documents that (u, i) is predicted from**, since no review is there when a rating
    is still to be predicted; code that leaves it in learns to read the answer. For the same reason the rating itself is left out
    of the biases beside them (`Biases`), which are solved first, in closed form, and not trained; and q and p, which learn from all ratings of
    u and of i, are left out unless `id_vectors`: what all ratings say together and the other reviews say of all but one tells that one.
    Other deviations: v · O_u + w · O_i is new,
    so that text has a way in that is as short as a bias; W_1 of eq. 11 is taken into the vectors; a softmax needs no constant; windows of words
    do not run from one review into the next.

    A user or item without reviews, or unseen in training, has O = 0; who is unseen also has q = 0 or p = 0, so biases are left; a user
    unseen in training gets b_u from the ratings in their history. Predicted values stay inside the range seen in training. Asked about a pair
    that training knows, the model reads its review like any other.
    """

    class Config(ReviewModel.Config):
        """Settings of `narre`."""

        reader: Literal["cnn", "bilstm", "frozen"] = Field("cnn", description="what reads a review")
        dim: int = Field(16, gt=0, description="size of user and item vectors")
        id_vectors: bool = Field(False, description="q and p of the paper; they let training read off part of the answer")
        attention_dim: int = Field(16, gt=0, description="size of the layer that decides which reviews speak")
        init: float = Field(0.03, gt=0, description="standard deviation of the first vectors")
        dropout: float = Field(0.3, ge=0, lt=1, description="of documents")

    train_defaults: ClassVar = {
        "loss": "squared_error",
        "optimizer": "adam",
        "learning_rate": 0.01,
        "weight_decay": 0.001,
        "schedule": "linear",
        "epochs": 20,
    }
    config: Config

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema, config.reader)
        sizes = schema.num_users, schema.num_items
        self.users = _Side(*sizes, config)
        self.items = _Side(*sizes[::-1], config)

    @torch.no_grad()
    def speaking(self, side: Side, code: int) -> Speaking:
        """Which reviews of a user's document, or an item's, speak: the explanation that the paper reads off."""
        owner = torch.tensor([code], device=self.biases.mean.device)
        reviews, offsets = self.reader.documents.of(side, owner)
        net, partners = (
            (self.users, self._partners(side, reviews)) if side == "user" else (self.items, self._partners(side, reviews))
        )
        return Speaking(partners, net.attention(self.reader(side, reviews), partners, offsets))

    def _partners(self, side: Side, reviews: Tensor) -> Tensor:
        documents = self.reader.documents
        return (documents.item if side == "user" else documents.user)[reviews].long()

    def _side(self, side: Side, codes: Tensor, apart_from: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Vectors q + X, (n, dim), and v · O, (n,), of users; or the same of items."""
        reviews, offsets = self.reader.documents.of(side, codes, apart_from)
        net, seen = (self.users, self.biases.user_count) if side == "user" else (self.items, self.biases.item_count)
        found: tuple[Tensor, Tensor] = net(
            codes, seen[codes] > 0, self.reader(side, reviews), self._partners(side, reviews), offsets
        )
        return found


@dataclass(frozen=True, eq=False)
class Speaking:
    """The reviews of a document and how much each says."""

    partners: Tensor
    """int64 (reviews,): the item that each review of a user is about; of an item's document, who wrote it"""
    weights: Tensor
    """float32 (reviews,): attention, which sums to 1"""


class _Side(nn.Module):
    """Users, or items: their vectors, and what becomes of their reviews."""

    def __init__(self, own: int, others: int, config: Narre.Config) -> None:
        super().__init__()
        self.embedding = nn.Embedding(own, config.dim) if config.id_vectors else None
        self.partner_embedding = nn.Embedding(others, config.attention_dim)
        self.attend = nn.Linear(config.text_dim, config.attention_dim)
        self.ask = nn.Linear(config.attention_dim, 1, bias=False)
        self.project = nn.Linear(config.text_dim, config.dim, bias=False)
        self.direct = nn.Linear(config.text_dim, 1, bias=False)
        self.dropout = Dropout(config.dropout)
        for module in (self.embedding, self.partner_embedding, self.project):
            if module is not None:
                nn.init.normal_(module.weight, std=config.init)
        nn.init.zeros_(self.direct.weight)

    def attention(self, vectors: Tensor, partners: Tensor, offsets: Tensor) -> Tensor:
        """float32 (reviews,): sums to 1 over each document."""
        asked: Tensor = self.ask(F.relu(self.attend(vectors) + self.partner_embedding(partners))).squeeze(1)
        return softmax(asked, offsets)

    def forward(self, codes: Tensor, seen: Tensor, vectors: Tensor, partners: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        document = self.dropout(weighted_sum(vectors, self.attention(vectors, partners, offsets), offsets))
        vectors = self.project(document)
        if self.embedding is not None:
            vectors = vectors + torch.where(seen.unsqueeze(1), self.embedding(codes), 0.0)
        return vectors, self.direct(document).squeeze(1)
