"""Linear recurrences over ragged rows, without a step for every event: what came before a stretch is added to it at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def decaying_sum(values: Tensor, decay: Tensor, positions: Tensor, from_end: Tensor) -> Tensor:
    """h_t = decay ⊙ h_{t-1} + value_t along each packed row, from h = 0 before its first token.

    Args:
        values: complex64 (tokens, states).
        decay: complex64 (states,), within the unit circle.
        positions: int64 (tokens,): 0 for the first token of each row, 1 for the next, …
        from_end: int64 (tokens,): 0 for the last token of each row, 1 for the one before, …

    Returns:
        complex64 (tokens, states).
    """
    result: Tensor = _DecayingSum.apply(values, decay, positions, from_end)
    return result


class _DecayingSum(torch.autograd.Function):
    """The gradient of a recurrence is the same recurrence from the end to the beginning."""

    @staticmethod
    def forward(ctx, values, decay, positions, from_end):  # type: ignore[no-untyped-def]
        states = _scan(values, decay, positions)
        ctx.save_for_backward(states, decay, positions, from_end)
        return states

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        states, decay, positions, from_end = ctx.saved_tensors
        turned = _scan(gradient.flip(0), decay.conj().resolve_conj(), from_end.flip(0)).flip(0)
        pairs = turned[1:] * states[:-1].conj()
        return turned, (pairs * (positions[1:] > 0).unsqueeze(1)).sum(0), None, None


def _scan(values: Tensor, decay: Tensor, positions: Tensor) -> Tensor:
    """The recurrence in stretches of about √(longest row) tokens: all of them step by step together, then the states between them.

    A state reaches a token where the token's position says that its row is old enough; nothing else marks where rows begin.
    """
    tokens, states = values.shape
    if not tokens:
        return values
    longest = int(positions.max()) + 1
    stretch = min(32, max(2, math.isqrt(longest)))
    spare = -tokens % stretch
    sums = torch.cat([values, values.new_zeros(spare, states)]).view(-1, stretch, states)
    place = torch.cat([positions, positions.new_zeros(spare)]).view(-1, stretch)
    reached = (place > 0).to(values.dtype).unsqueeze(2)
    for step in range(1, stretch):
        sums[:, step].addcmul_(sums[:, step - 1] * decay, reached[:, step])
    ends, power, apart = sums[:, -1].clone(), decay**stretch, 1
    while apart < len(ends) and apart * stretch < longest:  # the distance doubles, as does what lies behind each end
        reaches = (place[apart:, -1] >= apart * stretch).to(values.dtype).unsqueeze(1)
        ends[apart:] += ends[:-apart] * power * reaches
        power, apart = power * power, 2 * apart
    steps = torch.arange(1, stretch + 1, device=values.device)
    carried = ends[:-1].unsqueeze(1) * decay ** steps.unsqueeze(1)
    sums[1:] += carried * (place[1:] >= steps).to(values.dtype).unsqueeze(2)
    return sums.view(-1, states)[:tokens]


class LinearRecurrence(nn.Module):
    """A linear recurrent unit (Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences"): a diagonal, complex recurrence.

    h_t = λ ⊙ h_{t-1} + γ ⊙ B x_t, y_t = Re(C h_t), with λ = exp(-exp(ν) + i exp(θ)) inside the unit circle, first drawn from the ring 0.8 ≤ |λ| ≤ 0.99, and γ
    learned from √(1 - |λ|²), which keeps the state's size.
    """

    def __init__(self, dim: int, states: int) -> None:
        super().__init__()
        self.read = nn.Linear(dim, 2 * states)
        self.write = nn.Linear(2 * states, dim)
        radius = torch.sqrt(torch.rand(states) * (0.99**2 - 0.8**2) + 0.8**2)
        self.log_nu = nn.Parameter(torch.log(-torch.log(radius)))
        self.log_theta = nn.Parameter(torch.log(torch.rand(states) * 2 * math.pi + 1e-6))
        self.log_gamma = nn.Parameter(0.5 * torch.log1p(-radius.square()))

    def forward(self, tokens: Tensor, positions: Tensor, from_end: Tensor) -> Tensor:
        """(tokens, dim) → (tokens, dim); positions as in `decaying_sum`."""
        gamma = self.log_gamma.exp()
        parts = self.read(tokens).unflatten(1, (-1, 2)) * gamma.unsqueeze(1)
        decay = torch.polar((-self.log_nu.exp()).exp(), self.log_theta.exp())
        states = decaying_sum(torch.view_as_complex(parts), decay, positions, from_end)
        return self.write(torch.view_as_real(states).flatten(1))
