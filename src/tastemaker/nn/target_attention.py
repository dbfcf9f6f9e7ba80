"""Attention of a candidate over the events of a history, without a softmax."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.nn.mlp import Activation, activated, mlp
from tastemaker.nn.ragged import Packing
from tastemaker.nn.segments import weighted_sum


class TargetAttention(nn.Module):
    """Σ_j a(e_j, t) e_j with a = MLP([e; t; e - t; e ⊙ t]) of one output (Zhou et al. 2018, "Deep interest network", eq. 3).

    Weights are no shares of one: how much of a taste there is adds up, and a history without events is zero. The first layer is computed as
    e (A + diag(t) C) + t B: a product a row, with nothing said of the candidate at every event.
    """

    def __init__(self, dim: int, hidden: Sequence[int], activation: Activation = "relu") -> None:
        super().__init__()
        self.first = nn.Linear(4 * dim, hidden[0])
        self.activation = activated(activation, hidden[0])
        self.rest = mlp(hidden[0], hidden[1:], 1, activation=activation)
        nn.init.xavier_normal_(self.first.weight)
        nn.init.zeros_(self.first.bias)

    def weights(self, events: Tensor, target: Tensor, offsets: Tensor) -> Tensor:
        """float32 (tokens,) of the events' vectors (tokens, dim) and the candidates' (rows, dim)."""
        packing = Packing.of(offsets)
        if not packing.groups:
            return events.new_zeros(0)
        of_event, of_target, of_difference, of_product = self.first.weight.split(events.shape[1], 1)
        lines = target if packing.plain else target.index_select(0, packing.rows)
        level = F.linear(lines, of_target - of_difference, self.first.bias).unsqueeze(1)
        alike, product = (of_event + of_difference).T, of_product.T
        sizes, outputs = [group.rows for group in packing.groups], []
        blocks = packing.blocks(packing.spread(events))
        for (group, block), one, ahead in zip(blocks, lines.split(sizes), level.split(sizes), strict=True):
            maps = torch.addcmul(alike, one.unsqueeze(2), product)
            outputs.append(torch.baddbmm(ahead, block, maps).view(group.slots, -1))
        hidden = packing.collect(outputs[0] if len(outputs) == 1 else torch.cat(outputs))
        return self.rest(self.activation(hidden)).squeeze(1).float()

    def forward(self, events: Tensor, target: Tensor, offsets: Tensor) -> Tensor:
        """(tokens, dim), (rows, dim) → (rows, dim)."""
        return weighted_sum(events, self.weights(events, target, offsets), offsets)
