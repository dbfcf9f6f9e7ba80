"""Folding in: the vector of a user unseen in training, by a ridge regression of their history on the vectors of its items."""

from __future__ import annotations

import torch
from torch import Tensor


def ridge_users(
    seen: Tensor, goals: Tensor, rows: Tensor, count: int, regularization: float, background: Tensor | None = None
) -> Tensor:
    """argmin_u Σ_j (goal_j - u · v_j)² + λ‖u‖², plus the mean of (u · w)² over a background: float32 (count, dim).

    Args:
        seen: float (events, dim): v, the vectors of the items of all histories.
        goals: float (events,).
        rows: int64 (events,), the history of each event.
        count: number of histories; an empty one gets zeros.
        regularization: λ.
        background: float (n, dim): w, what else there is, whose goal is 0; None: nothing.
    """
    dim = seen.shape[1]
    outer = seen.new_zeros(count, dim * dim).index_add_(0, rows, (seen.unsqueeze(2) * seen.unsqueeze(1)).flatten(1))
    right = seen.new_zeros(count, dim).index_add_(0, rows, seen * goals.unsqueeze(1))
    gram = outer.view(-1, dim, dim) + regularization * torch.eye(dim, device=seen.device)
    if background is not None:
        gram = gram + (background.T @ background) / max(1, len(background))
    return torch.linalg.solve(gram, right)


def of_usual_length(vectors: Tensor, trained: Tensor) -> Tensor:
    """Vectors (n, dim) scaled to the mean length of those that were trained, (m, dim); zeros stay zeros."""
    usual = trained.norm(dim=1).mean().nan_to_num(1.0)
    return vectors * (usual / vectors.norm(dim=1, keepdim=True).clamp_min(1e-9))
