"""Biases of ratings: what is usual, for this user and for this item, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions

_SWEEPS = 20
"""Of users given items and items given users; the error falls by half or more in each."""


class Biases(nn.Module):
    """μ + b_u + b_i, the range of values, and who and what was seen in training.

    The b are the ridge regression of the training ratings: they minimise Σ (r - μ - b_u - b_i)² + λ_u Σ b_u² + λ_i Σ b_i². They are not
    trained. A user unseen in training gets b_u in the same way from the ratings in their history, given b_i.

    What learns beside them is to see them as they will be when a rating is still to be predicted, that is without that rating:
    `apart`. Otherwise text of *other* reviews tells the answer too: who knows the mean of five ratings, and four of them by their
    words, knows the fifth.
    """

    mean: Tensor
    low: Tensor
    high: Tensor
    user: Tensor
    """float32 (num_users,): b_u; 0 for users unseen in training"""
    item: Tensor
    user_count: Tensor
    """float32 (num_users,): how many ratings b_u is of"""
    item_count: Tensor

    def __init__(self, num_users: int, num_items: int, user_regularization: float, item_regularization: float) -> None:
        super().__init__()
        self.user_regularization, self.item_regularization = user_regularization, item_regularization
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("low", torch.tensor(-torch.inf))
        self.register_buffer("high", torch.tensor(torch.inf))
        for name, size in (("user", num_users), ("item", num_items)):
            self.register_buffer(name, torch.zeros(size))
            self.register_buffer(f"{name}_count", torch.zeros(size))

    def observe(self, interactions: Interactions) -> None:
        """Sets everything from the training ratings."""
        values = torch.from_numpy(interactions.value)
        self.mean, self.low, self.high = values.mean(), values.min(), values.max()
        user, item = (torch.from_numpy(codes).long() for codes in (interactions.user, interactions.item))
        self.user_count = torch.bincount(user, minlength=len(self.user)).float()
        self.item_count = torch.bincount(item, minlength=len(self.item)).float()
        left = (values - self.mean).double()
        of_users, of_items = self.user.double() * 0, self.item.double() * 0
        for _ in range(_SWEEPS):
            sums = torch.zeros_like(of_items).index_add_(0, item, left - of_users[user])
            of_items = sums / (self.item_count + self.item_regularization)
            sums = torch.zeros_like(of_users).index_add_(0, user, left - of_items[item])
            of_users = sums / (self.user_count + self.user_regularization)
        self.user, self.item = of_users.float(), of_items.float()

    def apart(self, users: Tensor, items: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """μ + b_u and b_i of training ratings, (n,) each, as they are without the rating itself, each given the other's b."""
        left, of_users, of_items = values - self.mean, self.user[users], self.item[items]
        weights = self.user_count[users] + self.user_regularization, self.item_count[items] + self.item_regularization
        user = (of_users * weights[0] - (left - of_items)) / (weights[0] - 1).clamp_min(1e-6)
        item = (of_items * weights[1] - (left - of_users)) / (weights[1] - 1).clamp_min(1e-6)
        return self.mean + user, item

    def of_users(self, users: Tensor, rows: Tensor, items: Tensor, values: Tensor) -> Tensor:
        """μ + b_u, (batch,), of user codes (batch,) whose histories are `items` and `values`, (events,), in the rows `rows`, (events,)."""
        trained, bias = self.user_count[users] > 0, self.user[users]
        if not bool(trained.all()):
            left = values - self.mean - self.item[items]
            sums = torch.zeros_like(bias).index_add(0, rows, left)
            counts = torch.zeros_like(bias).index_add(0, rows, torch.ones_like(left))
            bias = torch.where(trained, bias, sums / (counts + self.user_regularization))
        return self.mean + bias

    def within(self, values: Tensor) -> Tensor:
        """Values kept inside the range seen in training."""
        return values.clamp(self.low, self.high)
