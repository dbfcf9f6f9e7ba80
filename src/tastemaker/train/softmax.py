"""Cross-entropy over the whole catalogue without ever holding tokens × items.

With states h (n, d), table W (m, d) and targets y, the loss is mean_i [log Σ_j exp(h_i·w_j) - h_i·w_{y_i}] and its gradients need nothing
but the same exponentials e_ij = exp(h_i·w_j - s_i), whatever the shifts s_i:

    Z_i = Σ_j e_ij        dh_i = (1/n) (Σ_j e_ij w_j / Z_i - w_{y_i})        dW_j = (1/n) (Σ_i e_ij h_i / Z_i - Σ_{i: y_i = j} h_i)

So one buffer of `chunk` × m is filled, used for all of them while it is in cache, and reused: three matrix products, one exponential and
one sum a cell. The shift is zero as long as vectors are so short that no score can leave the range of exp, which is the usual case.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SAFE = 60.0
"""Scores within ±60 need no shift: exp stays far inside the range of float32 and bfloat16."""


def full_softmax(
    states: Tensor,
    table: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    *,
    chunk: int = 0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Cross-entropy of each target among all rows of `table`, mean over targets (weighted when `weights` are given).

    Args:
        states: float (n, d).
        table: float (m, d).
        targets: int64 (n,), rows of the table.
        weights: float (n,), not all zero; the mean is then Σ w·loss / Σ w.
        chunk: states at a time; 0 chooses by cache size.
        dtype: of the matrix products (torch.bfloat16 or torch.float32); sums and gradients stay float32.

    Gradients are computed in the forward pass, so second derivatives are not available.
    """
    return _FullSoftmax.apply(states, table, targets, weights, chunk, dtype or torch.float32)


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, table, targets, weights, chunk, dtype):  # type: ignore[no-untyped-def]
        n, dim = states.shape
        need = states.requires_grad or table.requires_grad
        if not chunk:
            chunk = 256 if states.device.type == "cpu" else max(256, (1 << 28) // max(1, len(table)))
        share = (torch.full((n,), 1.0 / n, device=states.device) if weights is None else weights / weights.sum()).float()

        # Few shapes, and nearly full: the libraries below compile and keep a kernel for each shape they meet.
        chunk = -(-n // -(-n // chunk) // 16) * 16 if n else chunk
        spare = -n % chunk
        if spare:
            states, targets = F.pad(states, (0, 0, 0, spare)), F.pad(targets, (0, spare))
            share = F.pad(share, (0, spare))
        items = table.to(dtype)
        unshifted = n == 0 or bool(states.norm(dim=1).max() * table.norm(dim=1).max() < _SAFE)
        gradient_states = torch.empty_like(states if need else states[:0])
        gradient_table = torch.zeros(table.shape if need else (0, dim), dtype=torch.float32, device=table.device)
        loss = torch.zeros((), device=states.device)
        cells = torch.empty(chunk, len(table), dtype=dtype, device=states.device)
        for start in range(0, len(states), chunk):
            block, goals, part_share = (
                states[start : start + chunk],
                targets[start : start + chunk],
                share[start : start + chunk],
            )
            scores = torch.mm(block.to(dtype), items.T, out=cells)
            shift = None if unshifted else scores.amax(1, keepdim=True)
            scores = (scores if shift is None else scores.sub_(shift)).exp_()
            total = scores.sum(1, keepdim=True).float()
            goal = table.index_select(0, goals)
            cost = total.log() - (block * goal).sum(1, keepdim=True) + (0.0 if shift is None else shift)
            loss += (part_share @ cost.squeeze(1)).float()
            if need:
                part_share = part_share.unsqueeze(1)
                gradient_states[start : start + chunk] = (torch.mm(scores, items) / total - goal) * part_share
                spread = (block * (part_share / total)).to(dtype)
                if dtype is torch.float32:
                    gradient_table.addmm_(scores.T, spread)
                else:
                    gradient_table += torch.mm(scores.T, spread)
        if need:
            gradient_table.index_add_(0, targets, states.float() * share.unsqueeze(1), alpha=-1.0)
            ctx.save_for_backward(gradient_states[:n], gradient_table.to(table.dtype))
        return loss

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        states, table = ctx.saved_tensors
        return states * gradient, table * gradient, None, None, None, None
