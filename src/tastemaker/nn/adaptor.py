"""Adaptors: from the space of a pre-trained encoder to that of a recommender, in a way that carries over to other catalogues."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MixtureAdaptor(nn.Module):
    """Parametric whitening, then a mixture of experts: v = Σ_k g_k (x - b_k) W_k.

    Hou et al. 2022, "Towards universal sequence representation learning for recommender systems" (UniSRec), eq. 2 to 5. In training
    gates are noisy: g = softmax(x V + δ ⊙ softplus(x U)), δ ~ N(0, 1); when asked δ = 0.
    """

    def __init__(self, size: int, dim: int, experts: int, dropout: float) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(experts, size))
        self.weight = nn.Parameter(torch.empty(experts, size, dim))
        self.gate, self.noise = nn.Parameter(torch.zeros(size, experts)), nn.Parameter(torch.zeros(size, experts))
        self.dropout = dropout
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """(n, size) → (n, dim)."""
        logits = x @ self.gate
        if self.training:
            logits = logits + torch.randn_like(logits) * F.softplus(x @ self.noise)
        x = F.dropout(x, self.dropout, self.training)
        # Σ_k g_k (x - b_k) W_k, the shifts taken through their experts first
        spoken = torch.einsum("ns,ksd->nkd", x, self.weight) - torch.einsum("ks,ksd->kd", self.shift, self.weight)
        return (logits.softmax(1).unsqueeze(2) * spoken).sum(1)
