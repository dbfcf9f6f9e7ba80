"""Dropout with one random byte an element, alone and behind a relu."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integers as wide as a number of so many bytes."""


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014), with p rounded to 1/256.

    On a CPU torch draws one number an element from a serial generator, which can cost as much as the layer it regularises; here one
    64-bit draw of a faster one, which torch's seeds, serves eight elements. On other devices it is torch's own.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Same shape; identity in eval mode."""
        if not self.training or not round(self.p * 256):
            return values
        if values.device.type != "cpu":
            return nn.functional.dropout(values, self.p)
        return _Masked.apply(values, draw_kept(values, self.p), scale(self.p))

    def extra_repr(self) -> str:
        return f"p={self.p}"


def draw_kept(values: Tensor, p: float) -> np.ndarray:
    """Which elements are kept, bool of the shape of `values`: each with probability 1 - p."""
    seed = int(torch.empty((), dtype=torch.int64).random_())
    draws = np.random.SFC64(seed).random_raw(-(-values.numel() // 8))
    return (draws.view(np.uint8)[: values.numel()] >= round(p * 256)).reshape(values.shape)


def scale(p: float) -> float:
    """What the kept elements are multiplied by, so that the mean stays."""
    return 256 / (256 - round(p * 256))


class _Masked(torch.autograd.Function):
    """values · keep · scale, remembering only the mask, a byte an element."""

    @staticmethod
    def forward(ctx, values, keep, scale):  # type: ignore[no-untyped-def]
        ctx.keep, ctx.scale = keep, scale
        return _where(keep, values).mul_(scale)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return _Masked.apply(gradient, ctx.keep, ctx.scale), None, None


class KeptRelu(torch.autograd.Function):
    """max(values, 0) · keep, written over `values`. What came out tells where the slope is 0, so nothing else is remembered."""

    @staticmethod
    def forward(ctx, values, keep):  # type: ignore[no-untyped-def]
        ctx.mark_dirty(values)
        found = _where(keep, values, out=values).relu_()
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        return torch.ops.aten.threshold_backward(gradient, ctx.saved_tensors[0], 0), None


def _where(keep: np.ndarray, values: Tensor, out: Tensor | None = None) -> Tensor:
    """The values that are kept, and zeros: their bits times 1 or 0, by NumPy, which takes a tenth of the time torch takes to turn a mask into numbers."""
    found = torch.empty_like(values) if out is None else out
    bits = _BITS[values.element_size()]
    np.multiply(values.detach().view(bits).numpy(), keep.view(np.int8), out=found.detach().view(bits).numpy())
    return found
