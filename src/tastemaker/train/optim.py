"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["sgd", "adagrad", "adam", "adamw"]
ScheduleName = Literal["constant", "linear", "cosine", "plateau"]


def optimizer(
    name: OptimizerName,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> torch.optim.Optimizer:
    """The optimizer; `weight_decay` is decoupled for AdamW (Loshchilov & Hutter 2019) and an L2 gradient for the others."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    if name == "sgd":
        return torch.optim.SGD(parameters, learning_rate, momentum=0.9, weight_decay=weight_decay)
    if name == "adagrad":
        return torch.optim.Adagrad(parameters, learning_rate, weight_decay=weight_decay)
    if name == "adam":
        return torch.optim.Adam(parameters, learning_rate, betas=betas, weight_decay=weight_decay, fused=True)
    return torch.optim.AdamW(parameters, learning_rate, betas=betas, weight_decay=weight_decay, fused=True)


class LazyAdam(torch.optim.Adam):
    """Adam that moves only the touched rows of a table whose gradient is sparse, and everything else as Adam does.

    Moments of a row decay when the row is touched (Kingma & Ba 2015, with the step count of the row's table), as in torch's SparseAdam;
    `weight_decay` is the L2 gradient, of touched rows alone.
    """

    def __init__(self, parameters: Any, **options: Any) -> None:
        super().__init__(parameters, fused=True, **options)

    def step(self, closure: Any = None) -> Any:
        """One step; sparse gradients must be of two-dimensional tables."""
        held = []
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad.is_sparse:
                    self._touch(table, table.grad.coalesce(), group)
                    held.append((table, table.grad))
                    table.grad = None
        found = super().step(closure)
        for table, gradient in held:
            table.grad = gradient
        return found

    @torch.no_grad()
    def _touch(self, table: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(table), "exp_avg_sq": torch.zeros_like(table)}
        state["step"] += 1
        (first, second), rows, slope = group["betas"], gradient.indices()[0], gradient.values()
        if group["weight_decay"]:
            slope = slope.add(table[rows], alpha=group["weight_decay"])
        mean = state["exp_avg"][rows].lerp_(slope, 1 - first)
        square = state["exp_avg_sq"][rows].mul_(second).addcmul_(slope, slope, value=1 - second)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = mean, square
        step = float(state["step"])
        deviation = (square / (1 - second**step)).sqrt_().add_(group["eps"])
        table.index_add_(0, rows, mean.div(deviation), alpha=-group["lr"] / (1 - first**step))


def schedule(name: ScheduleName, step: int, warmup_steps: int, total_steps: int, drops: int = 0) -> float:
    """The factor on the learning rate at a step: a linear warm-up, then constant, or down to 0 linearly or along a cosine.

    "plateau" is a tenth as much after each of the `drops` validations that were no best.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    if name == "linear":
        return 1.0 - done
    if name == "plateau":
        return 0.1**drops
    if name == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    return 1.0
