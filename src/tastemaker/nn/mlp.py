"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeVar

from torch import nn

from tastemaker.nn.dice import Dice
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.normed import NormedRelu

Module = TypeVar("Module", bound=nn.Module)
Activation = Literal["relu", "gelu", "silu", "tanh", "prelu", "dice"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "prelu": nn.PReLU,
}
"""Those that need not know how wide a layer is; "dice" does."""


def activated(activation: Activation, width: int) -> nn.Module:
    """The activation of a layer of that width."""
    return Dice(width) if activation == "dice" else ACTIVATIONS[activation]()


def mlp(
    size: int,
    hidden: Sequence[int],
    outputs: int | None = None,
    *,
    activation: Activation = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> nn.Sequential:
    """Layers of widths `hidden`, each a linear map, batch norm where asked, activation and dropout; then a linear map to `outputs`, if given."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers.append(nn.Linear(size, width))
        size = width
        if batch_norm and activation == "relu":
            layers.append(NormedRelu(width, dropout))
            continue
        if batch_norm:
            layers.append(nn.BatchNorm1d(width))
        layers.append(activated(activation, width))
        if dropout:
            layers.append(Dropout(dropout))
    if outputs is not None:
        layers.append(nn.Linear(size, outputs))
    return xavier(nn.Sequential(*layers))


def xavier(module: Module) -> Module:
    """The module, with normal weights of variance 2 / (inputs + outputs) and no bias in each of its linear maps (Glorot & Bengio 2010, eq. 12)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
