"""Dropout with one random byte an element."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014), with p rounded to 1/256.

    On a CPU torch draws one number an element from a serial generator, which can cost as much as the layer it regularises; here one
    64-bit draw serves eight elements. On other devices it is torch's own.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Same shape; identity in eval mode."""
        cut = round(self.p * 256)
        if not self.training or not cut:
            return values
        if values.device.type != "cpu":
            return nn.functional.dropout(values, self.p)
        draws = torch.empty(-(-values.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        keep = draws.view(torch.uint8)[: values.numel()].view(values.shape) >= cut
        return _Masked.apply(values, keep, 256 / (256 - cut))

    def extra_repr(self) -> str:
        return f"p={self.p}"


class _Masked(torch.autograd.Function):
    """values · keep · scale, remembering only the mask."""

    @staticmethod
    def forward(ctx, values, keep, scale):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(keep)
        ctx.scale = scale
        return (values * keep).mul_(scale)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return (gradient * ctx.saved_tensors[0]).mul_(ctx.scale), None, None
