"""Matrix factorization with biases: the model that every deeper one has to beat."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.entity import init_table, item_table
from tastemaker.nn.fold_in import of_usual_length, ridge_users
from tastemaker.settings import Settings


class MF(RetrievalModel):
    """Biased matrix factorization (Koren, Bell & Volinsky 2009): score = μ + b_u + b_i + p_u · q_i.

    Trained on explicit values with `loss = "squared_error"` (scores are then predicted values, kept inside the range seen in
    training), or on implicit events with `"bpr"` (Rendle et al. 2009), `"softmax"` or `"cross_entropy"`, where b_u and μ play no part.
    Without biases the score is p_u · q_i and the vectors hold nothing else, as `"directau"` asks (Wang et al. 2022, "Towards
    Representation Alignment and Uniformity in Collaborative Filtering"): it compares directions, and a constant would turn them all.

    With `similarity = "cosine"`, p_u · q_i becomes cos(p_u, q_i) / temperature, as suits a softmax (Wu et al. 2024, "On the
    Effectiveness of Sampled Softmax Loss for Item Recommendation"): no item wins by the length of its vector.

    A user unseen in training is folded in: the ridge solution of their history against the item vectors, with the catalogue as
    weak negatives when feedback is implicit (Hu, Koren & Volinsky 2008, eq. 4), scaled to the length of a trained vector. A user
    with nothing gets μ + b_i; without biases, what the mean of the trained users' vectors likes.
    """

    class Config(Settings):
        """Settings of `mf`."""

        dim: int = Field(128, gt=0, description="size of user and item vectors")
        biases: bool = Field(True, description="μ, b_u and b_i; unset: not for directau")
        init: float = Field(0.1, gt=0, description="standard deviation of the first vectors; unset: .03 for ratings")
        similarity: Literal["dot", "cosine"] | None = Field(
            None, description="of user and item vectors; unset: cosine for a softmax, dot for other losses"
        )
        temperature: float = Field(0.1, gt=0, description="what cosines are divided by")
        dropout: float = Field(0.0, ge=0, lt=1, description="of user vectors; unset: .3 for ratings")
        fold_in_regularization: float = Field(1.0, gt=0, description="ridge of users unseen in training")

    learns_from = "pairs"
    solves = ("two_tastes",)
    needs_history = False
    train_defaults: ClassVar = {"optimizer": "adam", "learning_rate": 0.01, "schedule": "linear"}
    ratings_defaults: ClassVar = {"learning_rate": 0.002, "betas": (0.9, 0.98), "l2": 0.03, "epochs": 10}

    item_rows = ("item_bias",)
    config: Config
    mean: Tensor
    low: Tensor
    high: Tensor
    trained: Tensor
    explicit: Tensor

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.user_embedding = nn.Embedding(schema.num_users, config.dim)
        self.item_embedding = item_table(schema, config.dim)
        self.user_bias = nn.Parameter(torch.zeros(schema.num_users), requires_grad=config.biases)
        self.item_bias = nn.Parameter(torch.zeros(schema.num_items), requires_grad=config.biases)
        self.dropout = Dropout(config.dropout)
        nn.init.normal_(self.user_embedding.weight, std=config.init)
        init_table(self.item_embedding, config.init)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("low", torch.tensor(-torch.inf))
        self.register_buffer("high", torch.tensor(torch.inf))
        self.register_buffer("explicit", torch.tensor(False))
        self.register_buffer("trained", torch.zeros(schema.num_users, dtype=torch.bool))

    @classmethod
    def defaults(cls, loss: str | None) -> dict[str, Any]:
        return cls.train_defaults | (cls.ratings_defaults if loss == "squared_error" else {})

    @classmethod
    def adapt(cls, config: Config, interactions: Interactions, loss: str | None = None) -> Config:
        given = config.model_fields_set
        if loss == "directau" and config.biases and "biases" in given:
            raise ConfigError(
                'model.biases = true with train.loss = "directau"',
                expected="vectors alone: it compares directions",
                hint="remove model.biases",
            )
        chosen = {"similarity": config.similarity or ("cosine" if loss in (None, "softmax", "cross_entropy") else "dot")}
        suits: dict[str, Any] = {}
        if loss == "squared_error":
            suits = {"init": 0.03, "dropout": 0.3}
        elif loss == "directau":
            suits = {"biases": False}
        return config.model_copy(update=chosen | {key: value for key, value in suits.items() if key not in given})

    def observe(self, interactions: Interactions) -> None:
        values = torch.from_numpy(interactions.value)
        self.trained[torch.from_numpy(interactions.user).long().unique()] = True
        if float(values.min()) != float(values.max()):
            self.explicit.fill_(True)
            if self.config.biases:
                self.mean.copy_(values.mean())
            self.low.copy_(values.min())
            self.high.copy_(values.max())

    def encode_user(self, query: Query) -> Tensor:
        vectors, bias = self.user_embedding(query.users), self.user_bias.index_select(0, query.users)
        if not self.training:
            trained = self.trained[query.users]
            if not bool(trained.all()):
                vectors = torch.where(trained.unsqueeze(1), vectors, self._fold_in(query))
                bias = torch.where(trained, bias, 0.0)
        if self.config.similarity == "cosine":
            vectors = F.normalize(vectors, dim=1) / self.config.temperature
        if not self.config.biases:
            return self.dropout(vectors)
        ones = torch.ones_like(bias)
        return torch.cat([self.dropout(vectors), torch.stack([self.mean + bias, ones], dim=1)], dim=1)

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        vectors = self._items(codes)
        if not self.config.biases:
            return vectors
        bias = self.item_row("item_bias")
        bias = bias if codes is None else bias.index_select(0, codes.flatten()).view(codes.shape)
        return torch.cat([vectors, torch.ones_like(bias).unsqueeze(-1), bias.unsqueeze(-1)], dim=-1)

    def _items(self, codes: Tensor | None = None) -> Tensor:
        vectors: Tensor = self.item_embedding.weight if codes is None else self.item_embedding(codes)
        return F.normalize(vectors, dim=-1) if self.config.similarity == "cosine" else vectors

    def score_each(self, query: Query, items: Tensor, rows: Tensor | None = None, times: Tensor | None = None) -> Tensor:
        return super().score_each(query, items, rows, times).clamp(self.low, self.high)

    def _fold_in(self, query: Query) -> Tensor:
        query, table, explicit = query.known(), self._items(), bool(self.explicit)
        goals = query.values - self.mean - self.item_bias[query.items] if explicit else torch.ones_like(query.values)
        codes = self.trained_items
        others = None if explicit else table[FIRST:] if codes is None else table[codes]
        regularization = self.config.fold_in_regularization
        folded = ridge_users(table[query.items], goals, query.rows, len(query), regularization, others)
        if not explicit:
            folded = of_usual_length(folded, self.user_embedding.weight[self.trained])
        if self.config.biases:
            return folded
        anyone = self.user_embedding.weight[self.trained].mean(dim=0).nan_to_num(0.0)
        return torch.where((query.lengths > 0).unsqueeze(1), folded, anyone)
