"""How a user vector and an item vector are compared: by their product or their cosine, and by what an item is worth to anyone."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Likeness = Literal["dot", "cosine"]


def suited_to_loss(similarity: Likeness | None, item_bias: bool | None, loss: str | None) -> dict[str, Any]:
    """The two settings, where open: cosines and a bias for a softmax, plain products for other losses."""
    softmax = loss in (None, "softmax", "cross_entropy")
    return {
        "similarity": similarity or ("cosine" if softmax else "dot"),
        "item_bias": softmax if item_bias is None else item_bias,
    }


class Matching(nn.Module):
    """Score = u · v, or cos(u, v) / temperature, plus b_v where items have a bias: again a product, of vectors one longer.

    A cosine cannot say that an item is liked by many, since every item is as long as any other; the bias can.
    """

    def __init__(self, num_items: int, similarity: Likeness | None, temperature: float, *, item_bias: bool) -> None:
        super().__init__()
        self.cosine, self.temperature = similarity == "cosine", temperature
        self.item_bias = nn.Parameter(torch.zeros(num_items)) if item_bias else None

    def of_users(self, vectors: Tensor) -> Tensor:
        """(batch, dim) → (batch, dim or dim + 1)."""
        if self.cosine:
            vectors = F.normalize(vectors, dim=1) / self.temperature
        return vectors if self.item_bias is None else torch.cat([vectors, torch.ones_like(vectors[:, :1])], dim=1)

    def of_items(self, table: Tensor, codes: Tensor | None) -> Tensor:
        """The rows `codes` (int64, any shape) of `table` (num_items, dim), or all: (…, dim or dim + 1)."""
        vectors = table if codes is None else F.embedding(codes, table)
        if self.cosine:
            vectors = F.normalize(vectors, dim=-1)
        if self.item_bias is None:
            return vectors
        bias = self.item_bias.unsqueeze(1)
        return torch.cat([vectors, bias if codes is None else F.embedding(codes, bias)], dim=-1)
