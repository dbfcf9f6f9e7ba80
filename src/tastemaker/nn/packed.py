"""Linear maps made ready for a CPU: weights laid out once as the processor's kernels read them, and a perceptron's layers fused.

The products are those of float32, summed in another order. oneDNN uses all of a processor's vector units where MKL, which `torch.nn.Linear` asks,
does not on processors of other makers: twice as fast there. With "bfloat16", for processors that multiply it, twice that again; sums are
float32 still, but what goes in has 8 bits, so log odds are off in the third digit.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]


class PackedLinear(nn.Module):
    """A linear map, with the ReLU behind it if there is one, that is asked and no longer learns; gradients do not pass."""

    def __init__(self, linear: nn.Linear, precision: Precision = "float32", *, relu: bool = False) -> None:
        super().__init__()
        self.dtype, self.after = getattr(torch, precision), "relu" if relu else "none"
        with torch.inference_mode(mode=False), torch.no_grad():
            self.bias = None if linear.bias is None else linear.bias.detach().to(self.dtype)
            self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach().to(self.dtype))

    def forward(self, given: Tensor) -> Tensor:
        """As the map it was made of, float32."""
        return self.raw(given.to(self.dtype)).float()

    def raw(self, given: Tensor) -> Tensor:
        """The same, in the precision of the products."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(given, self.weight, self.bias, self.after, [], "")
        return found


class PackedLayers(nn.Module):
    """A sequence of linear maps, ReLUs and what else a perceptron has; between packed maps nothing is brought back to float32."""

    def __init__(self, layers: nn.Sequential, precision: Precision = "float32") -> None:
        super().__init__()
        made: list[nn.Module] = []
        parts = list(layers)
        for place, layer in enumerate(parts):
            behind = parts[place + 1] if place + 1 < len(parts) else None
            if type(layer) is nn.Linear:
                made.append(PackedLinear(layer, precision, relu=isinstance(behind, nn.ReLU)))
            elif not (isinstance(layer, nn.ReLU) and made and isinstance(made[-1], PackedLinear)):
                made.append(layer)
        self.layers = nn.ModuleList(made)

    def forward(self, given: Tensor) -> Tensor:
        """As the sequence it was made of, float32."""
        found = given
        for layer in self.layers:
            found = layer.raw(found.to(layer.dtype)) if isinstance(layer, PackedLinear) else layer(found.float())
        return found.float()


def packs(precision: Precision = "float32") -> bool:
    """Whether this machine gains by it."""
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return False
    return precision == "float32" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def packed(module: nn.Module, precision: Precision = "float32") -> nn.Module:
    """The module with its linear maps packed, for inference on a CPU; all other parts are shared with it, which stays as it is.

    Where the machine cannot, the module itself.
    """
    linear = [part for part in module.modules() if type(part) is nn.Linear]
    if not linear or not packs(precision) or any(part.weight.device.type != "cpu" for part in linear):
        return module
    shared: dict[int, object] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    for part in module.modules():
        if type(part) is nn.Sequential:
            shared[id(part)] = PackedLayers(part, precision)
        elif type(part) is nn.Linear and id(part) not in shared:
            shared[id(part)] = PackedLinear(part, precision)
    found: nn.Module = copy.deepcopy(module, shared)
    return found
