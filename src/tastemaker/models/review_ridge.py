"""Review ridge: biases and one linear regression on what was written, in closed form; what a network that reads reviews has to beat."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.nn.biases import Biases
from tastemaker.nn.documents import Documents
from tastemaker.nn.text_statistics import latent_semantics
from tastemaker.settings import Settings


class ReviewRidge(RetrievalModel):
    """Predicts μ + b_u + b_i + v · x_u + w · y_i: x_u the mean vector of the reviews that u wrote, y_i of those about i.

    Biases are solved first, v and w are the ridge regression of what they leave. A review's vector is its tf-idf on its first axes
    (`latent_semantics`), not trained. A mean over n reviews is their sum over n + `shrinkage`, so that few of them say little. In training,
    neither what u wrote of i is in x_u and y_i, nor the rating in b_u and b_i (`Biases`), as it is when a rating is still to be predicted.

    A user or item without reviews has x = 0 or y = 0; a user unseen in training gets b_u from the ratings in their history. Predicted
    values stay inside the range seen in training. Without any reviews, biases are left.
    """

    class Config(Settings):
        """Settings of `review_ridge`."""

        text_dim: int = Field(128, gt=0, description="size of a review's vector")
        vocabulary: int = Field(20000, gt=0, description="words that are known: the most frequent ones")
        max_words: int = Field(500, gt=0, description="words read of a review: its first")
        shrinkage: float = Field(1.0, ge=0, description="empty reviews that a mean counts")
        user_regularization: float = Field(6.0, gt=0, description="ridge of the users' biases")
        item_regularization: float = Field(10.0, gt=0, description="ridge of the items' biases")
        user_text_regularization: float = Field(300.0, gt=0, description="ridge of v, for x of mean square 1")
        item_text_regularization: float = Field(30.0, gt=0, description="ridge of w, for y of mean square 1")

    needs_history = False
    needs_reviews = True

    config: Config
    user_text: Tensor
    """float32 (num_users,): v · x_u"""
    item_text: Tensor
    """float32 (num_items,): w · y_i"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.biases = Biases(schema.num_users, schema.num_items, config.user_regularization, config.item_regularization)
        self.register_buffer("user_text", torch.zeros(schema.num_users))
        self.register_buffer("item_text", torch.zeros(schema.num_items))

    @classmethod
    def predicts_values(cls, loss: str | None) -> bool:
        return True

    def solve(self, interactions: Interactions) -> None:
        config, sizes = self.config, (self.schema.num_users, self.schema.num_items)
        self.biases.observe(interactions)
        documents = Documents(
            *sizes, vocabulary=config.vocabulary, max_words=config.max_words, max_reviews=max(1, len(interactions))
        )
        documents.observe(interactions)
        words, bounds = documents.words.numpy(), documents.bounds.numpy()
        vectors = latent_semantics(words, bounds, config.vocabulary, config.text_dim)
        wrote = np.stack([documents.user.numpy(), documents.item.numpy()]).astype(np.int64)
        rated = np.stack([interactions.user, interactions.item]).astype(np.int64)
        pairs = rated[0] * sizes[1] + rated[1], wrote[0] * sizes[1] + wrote[1]
        _, code = np.unique(np.concatenate(pairs), return_inverse=True)
        of_pair = _Sums(vectors, code[len(rated[0]) :], int(code.max(initial=0)) + 1)
        parts, means = [], []
        for place, ridge in enumerate((config.user_text_regularization, config.item_text_regularization)):
            all_ = _Sums(vectors, wrote[place], sizes[place])
            apart = all_.at(rated[place], config.shrinkage, without=of_pair.at_sums(code[: len(rated[0])]))
            size = float(np.sqrt(np.square(apart).sum(1).mean())) or 1.0
            parts.append(apart * np.sqrt(1 / ridge) / size)
            means.append(all_.at(np.arange(sizes[place]), config.shrinkage) * np.sqrt(1 / ridge) / size)
        features = np.concatenate(parts, axis=1).astype(np.float64)
        user, item, values = (torch.from_numpy(one) for one in (*rated, interactions.value))
        usual, bias = self.biases.apart(user, item, values)
        left = (values - usual - bias).double().numpy()
        coefficients = np.linalg.solve(features.T @ features + np.eye(features.shape[1]), features.T @ left)
        width = config.text_dim
        self.user_text = torch.from_numpy(means[0] @ coefficients[:width]).float()
        self.item_text = torch.from_numpy(means[1] @ coefficients[width:]).float()

    def encode_user(self, query: Query) -> Tensor:
        query = query.known()
        usual = self.biases.of_users(query.users, query.rows, query.items, query.values) + self.user_text[query.users]
        return torch.stack([usual, torch.ones_like(usual)], dim=1)

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        bias = self.biases.item + self.item_text
        bias = bias if codes is None else bias[codes]
        return torch.stack([torch.ones_like(bias), bias], dim=-1)

    def score_each(self, query: Query, items: Tensor, rows: Tensor | None = None, times: Tensor | None = None) -> Tensor:
        return self.biases.within(super().score_each(query, items, rows, times))


class _Sums:
    """The sum of the vectors of each owner's reviews, and how many these are."""

    def __init__(self, vectors: np.ndarray, owner: np.ndarray, owners: int) -> None:
        self.sums = np.zeros((owners, vectors.shape[1]), np.float32)
        np.add.at(self.sums, owner, vectors)
        self.counts = np.bincount(owner, minlength=owners)

    def at_sums(self, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums and counts of some owners."""
        return self.sums[owners], self.counts[owners]

    def at(self, owners: np.ndarray, shrinkage: float, without: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
        """float32 (n, dim): means of some owners, those of `without` left out."""
        sums, counts = self.at_sums(owners)
        if without is not None:
            sums, counts = sums - without[0], counts - without[1]
        return sums / np.maximum(counts + shrinkage, 1e-9)[:, None]
