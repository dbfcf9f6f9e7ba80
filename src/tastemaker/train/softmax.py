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
    rows: Tensor | None = None,
    chunk: int = 0,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Cross-entropy of each target among all rows of `table`, mean over targets (weighted when `weights` are given).

    Args:
        states: float (n, d).
        table: float (m, d).
        targets: int64 (t,), rows of the table.
        weights: float (t,), not all zero; the mean is then Σ w·loss / Σ w.
        rows: int64 (t,), the state of each target; default: t = n, one target a state. A state with many targets costs no more than
            one with one.
        chunk: states at a time; 0 chooses by cache size.
        dtype: of the matrix products (torch.bfloat16 or torch.float32); sums and gradients stay float32.

    Gradients are computed in the forward pass, so second derivatives are not available.
    """
    return _FullSoftmax.apply(states, table, targets, weights, rows, chunk, dtype or torch.float32)


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, table, targets, weights, rows, chunk, dtype):  # type: ignore[no-untyped-def]
        (n, dim), t = states.shape, len(targets)
        need = states.requires_grad or table.requires_grad
        if not chunk:
            chunk = 256 if states.device.type == "cpu" else max(256, (1 << 28) // max(1, len(table)))
        share = (torch.full((t,), 1.0 / t, device=states.device) if weights is None else weights / weights.sum()).float()
        askers = states.float() if rows is None else states.float().index_select(0, rows)
        goals = table.float().index_select(0, targets)
        loss = -(share @ (askers * goals).sum(1))
        part = share if rows is None else torch.zeros(n, device=states.device).index_add_(0, rows, share)

        # Few shapes, and nearly full: the libraries below compile and keep a kernel for each shape they meet.
        chunk = -(-n // -(-n // chunk) // 16) * 16 if n else chunk
        spare = -n % chunk
        if spare:
            states, part = F.pad(states, (0, 0, 0, spare)), F.pad(part, (0, spare))
        items = table.to(dtype)
        unshifted = n == 0 or bool(states.norm(dim=1).max() * table.norm(dim=1).max() < _SAFE)
        gradient_states = torch.empty_like(states if need else states[:0], dtype=torch.float32)
        gradient_table = torch.zeros(table.shape if need else (0, dim), dtype=torch.float32, device=table.device)
        cells = torch.empty(chunk, len(table), dtype=dtype, device=states.device)
        for start in range(0, len(states), chunk):
            block, weight = states[start : start + chunk], part[start : start + chunk]
            scores = torch.mm(block.to(dtype), items.T, out=cells)
            shift = None if unshifted else scores.amax(1, keepdim=True)
            scores = (scores if shift is None else scores.sub_(shift)).exp_()
            total = scores.sum(1, keepdim=True, dtype=torch.float32)
            cost = total.log() + (0.0 if shift is None else shift)
            loss += (weight @ cost.squeeze(1)).float()
            if need:
                weight = weight.unsqueeze(1)
                gradient_states[start : start + chunk] = torch.mm(scores, items) / total * weight
                spread = (block * (weight / total)).to(dtype)
                if dtype is torch.float32:
                    gradient_table.addmm_(scores.T, spread)
                else:
                    gradient_table += torch.mm(scores.T, spread)
        if need:
            gradient_table.index_add_(0, targets, askers * share.unsqueeze(1), alpha=-1.0)
            gradient_states, goals = gradient_states[:n], goals * share.unsqueeze(1)
            gradient_states = (
                gradient_states - goals if rows is None else gradient_states.index_add_(0, rows, goals, alpha=-1.0)
            )
            ctx.save_for_backward(gradient_states.to(states.dtype), gradient_table.to(table.dtype))
        return loss

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        states, table = ctx.saved_tensors
        return states * gradient, table * gradient, None, None, None, None, None
