"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

OptimizerName = Literal["sgd", "adagrad", "adam", "adamw"]
ScheduleName = Literal["constant", "linear", "cosine"]


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


def schedule(name: ScheduleName, step: int, warmup_steps: int, total_steps: int) -> float:
    """The factor on the learning rate at a step: a linear warm-up, then constant, or down to 0 linearly or along a cosine."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    if name == "linear":
        return 1.0 - done
    if name == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    return 1.0
