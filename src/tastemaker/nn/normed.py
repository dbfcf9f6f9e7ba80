"""Batch norm, relu and dropout in one layer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.nn.dropout import KeptRelu, draw_kept, scale


class NormedRelu(nn.BatchNorm1d):
    """Dropout(relu(batch norm(x))) (Ioffe & Szegedy 2015; Srivastava et al. 2014), p rounded to 1/256: the same numbers in half the passes over them.

    A relu of s·x is s times that of x, so dropout's scale is a matter of batch norm's slope and level, and its mask one of relu's.
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__(width)
        self.dropout = dropout

    def forward(self, input: Tensor) -> Tensor:
        """(n, width) → (n, width); a batch of one cannot be trained on."""
        if not self.training or not round(self.dropout * 256):
            return super().forward(input).relu_()
        if input.device.type != "cpu":
            return F.dropout(super().forward(input).relu_(), self.dropout)
        times = scale(self.dropout)
        slope, level = self.weight * times, self.bias * times
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        normed = F.batch_norm(input, self.running_mean, self.running_var, slope, level, True, self.momentum or 0.0, self.eps)
        return KeptRelu.apply(normed, draw_kept(input, self.dropout))

    def extra_repr(self) -> str:
        return f"{self.num_features}, dropout={self.dropout}"
