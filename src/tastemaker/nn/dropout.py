"""Dropout with one random byte an element."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

_ONE = np.int16(0x3F80)
"""The bits of 1 in bfloat16."""


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
        keep = draws.numpy().view(np.uint8)[: values.numel()] >= cut
        return _Masked.apply(values, keep, 256 / (256 - cut))

    def extra_repr(self) -> str:
        return f"p={self.p}"


class _Masked(torch.autograd.Function):
    """values · keep · scale, remembering only the mask, a byte an element."""

    @staticmethod
    def forward(ctx, values, keep, scale):  # type: ignore[no-untyped-def]
        ctx.keep, ctx.scale = keep, scale
        return (values * _as_numbers(keep, values)).mul_(scale)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return (gradient * _as_numbers(ctx.keep, gradient)).mul_(ctx.scale), None, None


def _as_numbers(keep: np.ndarray, like: Tensor) -> Tensor:
    """The mask as ones and zeros of the type and shape of `like`, by NumPy: ten times as fast as torch turns it."""
    if like.dtype == torch.bfloat16:
        return torch.from_numpy(np.multiply(keep, _ONE, dtype=np.int16)).view(torch.bfloat16).view(like.shape)
    return torch.from_numpy(keep.astype(np.float32)).to(like.dtype).view(like.shape)
