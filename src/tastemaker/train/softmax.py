"""Cross-entropy over the whole catalogue without ever holding tokens × items.

With states h (n, d), table W (m, d) and targets y, the loss is mean_i [log Σ_j exp(h_i·w_j) - h_i·w_{y_i}] and its gradients need nothing
but the same exponentials e_ij = exp(h_i·w_j - s_i), whatever the shifts s_i:

    Z_i = Σ_j e_ij        dh_i = (1/n) (Σ_j e_ij w_j / Z_i - w_{y_i})        dW_j = (1/n) (Σ_i e_ij h_i / Z_i - Σ_{i: y_i = j} h_i)

So one buffer of `chunk` × m is filled, used for all of them while it is in cache, and reused: three matrix products and one exponential
per cell. The shift rides as an extra column of h against ones in W, and the same ones column gives Z in the second product.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SAFE = 50.0
"""exp(±50) is far from the limits of float32 and bfloat16, so a shift may miss the row's true maximum by this much."""
_EXTRA = 16
"""Columns that carry shift and normaliser; more than the two needed, to keep rows aligned."""


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
        chunk = min(chunk, max(1, n))
        share = (torch.full((n,), 1.0 / n, device=states.device) if weights is None else weights / weights.sum()).float()

        wide = torch.zeros(len(table), dim + _EXTRA, dtype=dtype, device=table.device)
        wide[:, :dim] = table
        wide[:, dim] = 1.0
        wide_t = wide.T
        longest = table.float().norm(dim=1).max()
        lengths = states.float().norm(dim=1)
        safe = bool((lengths.max() * longest < _SAFE).item()) if n else True

        gradient_states = torch.empty_like(states if need else states[:0])
        gradient_table = torch.zeros(len(table) if need else 0, dim + _EXTRA, device=table.device)
        loss = torch.zeros((), device=states.device)
        cells = torch.empty(chunk, len(table), dtype=dtype, device=states.device)
        rows = torch.zeros(chunk, dim + _EXTRA, dtype=dtype, device=states.device)
        for start in range(0, n, chunk):
            stop = min(n, start + chunk)
            block, size = states[start:stop], stop - start
            part, hidden = cells[:size], rows[:size]
            hidden[:, :dim] = block
            if safe:
                shift = lengths[start:stop] * longest * 0.5
            else:  # rare: vectors so long that a bound would underflow; take the true maximum
                hidden[:, dim] = 0.0
                shift = torch.mm(hidden, wide_t, out=part).amax(1).float()
            hidden[:, dim] = -shift
            shift = -hidden[:, dim].float()
            torch.mm(hidden, wide_t, out=part).exp_()
            sums = torch.mm(part, wide).float()
            total = sums[:, dim : dim + 1]
            goal = table.index_select(0, targets[start:stop])
            part_share = share[start:stop]
            right = (block.float() * goal.float()).sum(1)
            loss += (part_share * (total.squeeze(1).log() + shift - right)).sum()
            if need:
                gradient_states[start:stop] = (sums[:, :dim] / total - goal) * part_share.unsqueeze(1)
                hidden[:, :dim] = block * (part_share.unsqueeze(1) / total)
                if dtype is torch.float32:
                    gradient_table.addmm_(part.T, hidden)
                else:
                    gradient_table += torch.mm(part.T, hidden)
        if need:
            gradient_table = gradient_table[:, :dim].contiguous()
            gradient_table.index_add_(0, targets, states.float() * share.unsqueeze(1), alpha=-1.0)
            ctx.save_for_backward(gradient_states, gradient_table.to(table.dtype))
        return loss

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        states, table = ctx.saved_tensors
        return states * gradient, table * gradient, None, None, None, None
