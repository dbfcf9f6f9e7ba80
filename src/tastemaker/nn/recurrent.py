"""Recurrent networks over ragged rows: one step of all rows at a time, and nothing in a step that can be done for all steps at once.

| cell   | the state h after a token whose input is x, with a = W x + b and s = U h                                   |
|--------|------------------------------------------------------------------------------------------------------------|
| `gru`  | r, z = σ(a + s), n = tanh(a + r · (s + c)), h ← (1 - z) n + z h                      (Cho et al. 2014)      |
| `lstm` | o, i, f = σ(a + s), g = tanh(a + s), m ← f m + i g, h ← o tanh m  (Hochreiter & Schmidhuber 1997; Gers 2000) |
| `rnn`  | h ← tanh(a + s)                                                                            (Elman 1990)    |

The loop over steps costs the same few calls a step however few the rows, so there is little in it: W x is one product before it; on the
way back all slopes are known beforehand, and the gradient of U is one product after it. On a CPU torch's own packed networks take about
three times as long where rows are long and few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from tastemaker.nn.dropout import Dropout

Cell = Literal["gru", "lstm", "rnn"]


@dataclass(frozen=True, eq=False)
class Steps:
    """A plan that puts packed tokens in the order of their steps: all first ones, all second ones, …; the longest row first in each."""

    counts: list[int]
    """rows that have a token at each step"""
    to_steps: Tensor
    """int64 (tokens,): the token in each place"""
    to_tokens: Tensor
    """int64 (tokens,): the place of each token"""
    earlier: Tensor
    """int64 (tokens - counts[0],): for each place after the first step, the place of the same row one step before"""

    @classmethod
    def of(cls, offsets: Tensor) -> Steps:
        """Plans for rows given by `offsets`, int64 (rows + 1,)."""
        bounds = offsets.cpu().numpy()
        lengths = np.diff(bounds)
        step = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths)
        counts = np.bincount(step)
        rank = np.empty(len(lengths), np.int64)
        rank[np.argsort(-lengths, kind="stable")] = np.arange(len(lengths))
        places = (np.cumsum(counts) - counts)[step] + np.repeat(rank, lengths)
        tokens = np.empty_like(places)
        tokens[places] = np.arange(len(places))
        first = counts[0] if len(counts) else 0
        earlier = np.arange(first, len(places)) - np.repeat(counts[:-1], counts[1:])
        moves = [torch.from_numpy(one).to(offsets.device) for one in (tokens, places, earlier)]
        return cls(counts.tolist(), moves[0], moves[1], moves[2])

    def before(self, states: Tensor) -> Tensor:
        """(tokens, dim) in steps → the state each step began with, 0 at the first: (tokens, dim)."""
        first = states.new_zeros(len(states) - len(self.earlier), states.shape[1])
        return torch.cat([first, states.index_select(0, self.earlier)])


class Recurrent(nn.Module):
    """Layers of one cell. A row begins with a state of zeros, and a token's output is the last layer's state after it."""

    def __init__(self, cell: Cell, dim: int, hidden: int, layers: int = 1, dropout: float = 0.0) -> None:
        """From tokens of `dim` to states of `hidden`; `dropout` is between layers."""
        super().__init__()
        self.cell, gates = cell, {"gru": 3, "lstm": 4, "rnn": 1}[cell]
        self.inputs = nn.ModuleList(nn.Linear(hidden if layer else dim, gates * hidden) for layer in range(layers))
        self.states = nn.ParameterList(torch.empty(gates * hidden, hidden) for _ in range(layers))
        # only the candidate of a gru, where the state's part is reset, has any use for a bias of its own
        self.resets = nn.ParameterList(torch.zeros(hidden) for _ in range(layers if cell == "gru" else 0))
        self.dropout = Dropout(dropout)
        for weight in self.states:
            for gate in weight.split(hidden):
                nn.init.orthogonal_(gate)  # what is remembered neither fades nor grows at first (Saxe et al. 2014)

    def forward(self, tokens: Tensor, steps: Steps) -> Tensor:
        """(tokens, dim) → (tokens, hidden)."""
        for layer, (project, weight) in enumerate(zip(self.inputs, self.states, strict=True)):
            inputs = project(self.dropout(tokens) if layer else tokens)
            if self.cell == "gru":
                tokens = _GRU.apply(inputs, weight, self.resets[layer], steps)
            else:
                tokens = (_LSTM if self.cell == "lstm" else _RNN).apply(inputs, weight, steps)
        return tokens


class AUGRU(nn.Module):
    """A gated recurrent unit that a token moves as far as it is attended to (Zhou et al. 2019, "Deep interest evolution network", eq. 15 and 16).

    h ← (1 - w u) h + w u n, with w the token's attention and r, u, n as r, 1 - z, n of `gru`. A token without attention changes nothing; where no
    attention is given, w = 1. States of a dozen numbers are common here, so a step's numbers lie side by side by number, not by row.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(dim, 3 * hidden)
        self.states = nn.Parameter(torch.empty(3 * hidden, hidden))
        self.reset = nn.Parameter(torch.zeros(hidden))
        for gate in self.states.split(hidden):
            nn.init.orthogonal_(gate)

    def forward(self, tokens: Tensor, attention: Tensor | None, steps: Steps) -> Tensor:
        """(tokens, dim) and (tokens,) → (tokens, hidden): the state after each token."""
        weights = self.inputs.weight, self.inputs.bias, self.states, self.reset
        states: Tensor = _AUGRU.apply(tokens, attention, *weights, steps)
        return states


class _AUGRU(torch.autograd.Function):
    """Gates in the order r, u, n; a column a token, in steps."""

    @staticmethod
    def forward(ctx, tokens, attention, reads, bias, weight, reset, steps):  # type: ignore[no-untyped-def]
        size, counts = weight.shape[1], steps.counts
        tokens = tokens.index_select(0, steps.to_steps)
        attention = None if attention is None else attention.index_select(0, steps.to_steps)
        inputs = torch.addmm(bias.unsqueeze(1), reads, tokens.T)
        gates, n = inputs[: 2 * size], inputs[2 * size :]
        told, states = torch.empty_like(n), torch.empty_like(n)
        state, reset = states.new_zeros(size, counts[0] if counts else 0), reset.unsqueeze(1)
        of_gates, of_new = weight[: 2 * size], weight[2 * size :]
        moves = [None] * len(counts) if attention is None else attention.split(counts)
        parts = (part.split(counts, 1) for part in (gates, gates[:size], gates[size:], n, told, states))
        for w, gate, r, u, new, said, after in zip(moves, *parts, strict=True):
            state = state[:, : after.shape[1]]
            gate.add_(of_gates @ state).sigmoid_()
            torch.addmm(reset, of_new, state, out=said)
            new.addcmul_(r, said).tanh_()
            state = torch.lerp(state, new, u if w is None else u * w, out=after)
        ctx.save_for_backward(tokens, attention, inputs, told, states, reads, weight)
        ctx.steps = steps
        return _turned(states).index_select(0, steps.to_tokens)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (tokens, attention, inputs, told, states, reads, weight), steps = ctx.saved_tensors, ctx.steps
        size, counts, backwards = weight.shape[1], steps.counts, _turned(weight)
        r, u, n = inputs.split(size)
        before = torch.cat(
            [states.new_zeros(size, states.shape[1] - len(steps.earlier)), states.index_select(1, steps.earlier)], 1
        )
        gradient = _turned(gradient.index_select(0, steps.to_steps))
        moved = u if attention is None else u * attention
        slope, gained = moved * (1 - n * n), (n - before) * u
        turned = gained * (1 - u) if attention is None else gained * (1 - u) * attention
        slopes = torch.stack([slope * told * r * (1 - r), turned, slope * r])
        pushed, carry = torch.empty_like(slopes), gradient[:, :0]
        parts = (part.split(counts, -1) for part in (gradient, 1 - moved, slopes, pushed))
        for part, kept, factor, push in list(zip(*parts, strict=True))[::-1]:
            part[:, : carry.shape[1]] += carry
            torch.mul(factor, part, out=push)
            carry = torch.addmm(part * kept, backwards, push.reshape(3 * size, -1))
        pushed = pushed.view(3 * size, -1)
        attended = None if attention is None else (gradient * gained).sum(0).index_select(0, steps.to_tokens)
        of_weight, of_reset = (before @ pushed.T).T, pushed[2 * size :].sum(1)
        pushed[2 * size :] = gradient * slope
        read = _turned(reads.T @ pushed).index_select(0, steps.to_tokens)
        return read, attended, pushed @ tokens, pushed.sum(1), of_weight, of_reset, None


class _GRU(torch.autograd.Function):
    """Gates in the order r, z, n."""

    @staticmethod
    def forward(ctx, inputs, weight, reset, steps):  # type: ignore[no-untyped-def]
        size, counts = weight.shape[1], steps.counts
        inputs = inputs.index_select(0, steps.to_steps)
        told, states = torch.empty_like(inputs), inputs.new_empty(len(inputs), size)
        bias = torch.cat([reset.new_zeros(2 * size), reset])
        state, turned = states.new_zeros(counts[0] if counts else 0, size), _turned(weight)
        gates, new = inputs[:, : 2 * size], inputs[:, 2 * size :]
        parts = (part.split(counts) for part in (gates, gates[:, :size], gates[:, size:], new, told, states))
        for gate, r, z, n, said, after in zip(*parts, strict=True):
            state = state[: len(after)]
            torch.addmm(bias, state, turned, out=said)
            gate.add_(said[:, : 2 * size]).sigmoid_()
            n.addcmul_(r, said[:, 2 * size :]).tanh_()
            state = torch.lerp(n, state, z, out=after)
        ctx.save_for_backward(inputs, told[:, 2 * size :], states, weight)
        ctx.steps = steps
        return states.index_select(0, steps.to_tokens)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (gates, said, states, weight), steps = ctx.saved_tensors, ctx.steps
        r, z, n = gates.chunk(3, 1)
        before, gradient = steps.before(states), gradient.index_select(0, steps.to_steps)
        slope = (1 - z) * (1 - n * n)
        slopes = torch.stack([slope * said * r * (1 - r), (before - n) * z * (1 - z), slope * r], 1)
        pushed, carry = torch.empty_like(slopes), gradient[:0]
        for part, kept, factor, push in _backwards(steps, gradient, z, slopes, pushed):
            part[: len(carry)] += carry
            torch.mul(factor, part.unsqueeze(1), out=push)
            carry = torch.addmm(part * kept, push.view(len(push), -1), weight)
        pushed = pushed.view(len(pushed), -1)
        inputs = torch.cat([pushed[:, : 2 * z.shape[1]], gradient * slope], 1)
        return inputs.index_select(0, steps.to_tokens), pushed.T @ before, pushed[:, -z.shape[1] :].sum(0), None


class _LSTM(torch.autograd.Function):
    """Gates in the order o, i, f, g."""

    @staticmethod
    def forward(ctx, inputs, weight, steps):  # type: ignore[no-untyped-def]
        size, counts = weight.shape[1], steps.counts
        gates = inputs.index_select(0, steps.to_steps)
        memories, states = gates.new_empty(2, len(gates), size)
        state = memory = states.new_zeros(counts[0] if counts else 0, size)
        turned = _turned(weight)
        opened, new = gates[:, : 3 * size], gates[:, 3 * size :]
        parts = (part.split(counts) for part in (gates, opened, *opened.chunk(3, 1), new, memories, states))
        for gate, open_, o, i, f, g, kept, after in zip(*parts, strict=True):
            gate.addmm_(state[: len(after)], turned)
            open_.sigmoid_()
            g.tanh_()
            memory = torch.mul(f, memory[: len(after)], out=kept).addcmul_(i, g)
            state = torch.tanh(memory, out=after).mul_(o)
        ctx.save_for_backward(gates, memories, states, weight)
        ctx.steps = steps
        return states.index_select(0, steps.to_tokens)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (gates, memories, states, weight), steps = ctx.saved_tensors, ctx.steps
        o, i, f, g = gates.chunk(4, 1)
        gradient, shown = gradient.index_select(0, steps.to_steps), memories.tanh()
        shows, slope = o * (1 - shown * shown), shown * o * (1 - o)
        slopes = torch.stack([g * i * (1 - i), steps.before(memories) * f * (1 - f), i * (1 - g * g)], 1)
        pushed = gates.new_empty(len(gates), 4, o.shape[1])
        carry = kept = gradient[:0]
        for part, show, opens, factor, keeps, push in _backwards(steps, gradient, shows, slope, slopes, f, pushed):
            part[: len(carry)] += carry
            memory = part * show
            memory[: len(kept)] += kept
            torch.mul(part, opens, out=push[:, 0])
            torch.mul(factor, memory.unsqueeze(1), out=push[:, 1:])
            kept = memory * keeps
            carry = push.view(len(push), -1) @ weight
        pushed = pushed.view(len(pushed), -1)
        return pushed.index_select(0, steps.to_tokens), pushed.T @ steps.before(states), None


class _RNN(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs, weight, steps):  # type: ignore[no-untyped-def]
        states = inputs.index_select(0, steps.to_steps)
        state, turned = states[: steps.counts[0] if steps.counts else 0] * 0, _turned(weight)
        for after in states.split(steps.counts):
            state = after.addmm_(state[: len(after)], turned).tanh_()
        ctx.save_for_backward(states, weight)
        ctx.steps = steps
        return states.index_select(0, steps.to_tokens)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (states, weight), steps = ctx.saved_tensors, ctx.steps
        pushed, carry = gradient.index_select(0, steps.to_steps), gradient[:0]
        for push, slope in _backwards(steps, pushed, 1 - states * states):
            push[: len(carry)] += carry
            carry = push.mul_(slope) @ weight
        return pushed.index_select(0, steps.to_tokens), pushed.T @ steps.before(states), None


def _turned(weight: Tensor) -> Tensor:
    """The transpose in memory of its own: products of one row round differently where a weight lies in memory as a file gave it."""
    return weight.T.contiguous()


def _backwards(steps: Steps, *parts: Tensor) -> list[tuple[Tensor, ...]]:
    """The slices of each step, the last step first."""
    return list(zip(*(part.split(steps.counts) for part in parts), strict=True))[::-1]
