"""Fusion: the vectors of an item's modalities as one, whichever of them it has; what is missing is left out, not taken for zeros.

With x_m the projected vector of modality m, and only the modalities that are there:

| name        | vector                                              | source                                                      |
|-------------|-----------------------------------------------------|-------------------------------------------------------------|
| `concat`    | W₂ gelu(W₁ [x_1; …; x_M]), a learned x_m where one is missing |                                                    |
| `outer`     | Σ_r Π_m (W_m^r x_m + b_m^r)                          | Liu et al. 2018, eq. 6: the outer product at low rank       |
| `gated`     | Σ_m g_m ⊙ tanh(W_m x_m), g = softmax_m (V_m x_m)     | Arevalo et al. 2017, gated multimodal units; softmax for M > 2 |
| `attention` | Σ_m a_m V x_m, a = softmax_m (q · K x_m / √d), 2 heads | Vaswani et al. 2017 with one learned query                |

All but `outer` add Σ_m P_m x_m / M, a linear path, so that a single modality is at least projected.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.data.item_contents import FusionSettings

_HEADS = 2


class Fusion(nn.Module, abc.ABC):
    """Base of the ways to fuse: x float32 (n, M, dim), there bool (n, M) → float32 (n, dim)."""

    def __init__(self, count: int, dim: int, settings: FusionSettings) -> None:
        """`count` is M."""
        super().__init__()

    @abc.abstractmethod
    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Rows do not depend on each other, nor on what stands where nothing is `there`."""


class Concat(Fusion):
    """A perceptron on all modalities beside each other."""

    def __init__(self, count: int, dim: int, settings: FusionSettings) -> None:
        super().__init__(count, dim, settings)
        self.missing = nn.Parameter(torch.zeros(count, dim))
        self.first, self.second = nn.Linear(count * dim, 2 * dim), nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        filled = torch.where(there.unsqueeze(2), x, self.missing)
        return self.second(F.gelu(self.first(filled.flatten(1)))) + _mean(x, there)


class Outer(Fusion):
    """Products across modalities, at low rank."""

    def __init__(self, count: int, dim: int, settings: FusionSettings) -> None:
        super().__init__(count, dim, settings)
        self.weight = nn.Parameter(torch.empty(count, settings.rank, dim, dim))
        self.bias = nn.Parameter(torch.ones(count, settings.rank, dim))
        nn.init.normal_(self.weight, std=dim**-0.5)
        self.sum = nn.Parameter(torch.full((settings.rank,), 1 / settings.rank))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        factors = torch.einsum("nmd,mrdk->nmrk", x, self.weight) + self.bias
        product = torch.where(there[:, :, None, None], factors, 1.0).prod(dim=1)
        # Less the product of what is said of nothing, so that a vector of nothing is 0 and biases do not drown the rest.
        nothing = torch.where(there[:, :, None, None], self.bias, 1.0).prod(dim=1)
        return torch.einsum("nrk,r->nk", product - nothing, self.sum)


class Gated(Fusion):
    """Each modality has a say in each dimension by how sure it is."""

    def __init__(self, count: int, dim: int, settings: FusionSettings) -> None:
        super().__init__(count, dim, settings)
        self.value = nn.Parameter(torch.empty(count, dim, dim))
        self.gate = nn.Parameter(torch.zeros(count, dim, dim))
        nn.init.normal_(self.value, std=dim**-0.5)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        values = torch.tanh(torch.einsum("nmd,mdk->nmk", x, self.value))
        if x.shape[1] == 1:  # which has all of the say
            return values.squeeze(1) + x.squeeze(1)
        gates = torch.einsum("nmd,mdk->nmk", x, self.gate)
        return (_shares(gates, there.unsqueeze(2), 1) * values).sum(dim=1) + _mean(x, there)


class Attention(Fusion):
    """Each modality has a say by how well it answers a learned query."""

    def __init__(self, count: int, dim: int, settings: FusionSettings) -> None:
        super().__init__(count, dim, settings)
        self.kind = nn.Parameter(torch.zeros(count, dim))
        self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.query = nn.Parameter(torch.zeros(dim))
        self.heads = _HEADS if dim % _HEADS == 0 else 1

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        tokens = x + self.kind
        keys = (self.key(tokens) * self.query).unflatten(2, (self.heads, -1)).sum(-1) * (self.heads / x.shape[2]) ** 0.5
        values = self.value(tokens).unflatten(2, (self.heads, -1))
        shares = _shares(keys, there.unsqueeze(2), 1)
        return (shares.unsqueeze(3) * values).sum(dim=1).flatten(1) + _mean(x, there)


FUSIONS: Mapping[str, type[Fusion]] = {"concat": Concat, "outer": Outer, "gated": Gated, "attention": Attention}


class Fused(nn.Module):
    """The content vectors of items: each modality projected to `dim`, then fused; 0 where an item has none at all.

    In training a modality of an item is hidden with probability `modality_dropout`, but never its last one.
    """

    def __init__(self, sizes: Sequence[int], dim: int, settings: FusionSettings) -> None:
        """`sizes`: lengths of the vectors of each modality."""
        super().__init__()
        self.settings = settings
        self.projections = nn.ModuleList(nn.Linear(size, dim, bias=False) for size in sizes)
        self.fusion = FUSIONS[settings.fusion](len(sizes), dim, settings)

    def project(self, vectors: Sequence[Tensor]) -> Tensor:
        """Vectors (n, size) of each modality → float32 (n, modalities, dim)."""
        return torch.stack([project(one) for project, one in zip(self.projections, vectors, strict=True)], dim=1)

    def forward(self, vectors: Sequence[Tensor], there: Tensor) -> Tensor:
        """Vectors (n, size) of each modality, finite even where nothing is there, and bool (n, modalities) → float32 (n, dim)."""
        if self.training:
            vectors = [F.dropout(one, self.settings.dropout) for one in vectors] if self.settings.dropout else vectors
            if self.settings.modality_dropout and there.shape[1] > 1:
                kept = there & (torch.rand(there.shape, device=there.device) >= self.settings.modality_dropout)
                there = torch.where(kept.any(dim=1, keepdim=True), kept, there)
        x = self.project(vectors)
        fused: Tensor = self.fusion(torch.where(there.unsqueeze(2), x, 0.0), there)
        return torch.where(there.any(dim=1, keepdim=True), fused, 0.0)


def _mean(x: Tensor, there: Tensor) -> Tensor:
    return (x * there.unsqueeze(2)).sum(dim=1) / there.sum(dim=1, keepdim=True).clamp_min(1)


def _shares(scores: Tensor, there: Tensor, dim: int) -> Tensor:
    """Softmax over what is there; 0 where nothing is."""
    return torch.where(there, scores, -torch.inf).softmax(dim).nan_to_num(0.0)
