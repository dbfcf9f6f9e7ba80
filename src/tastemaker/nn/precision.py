"""Where numbers are rounded for matrix products."""

from __future__ import annotations

import torch
from torch import Tensor


def for_products(values: Tensor) -> Tensor:
    """The values as autocast would round them before a matrix product; without autocast as they are.

    Rounding small tensors before they are multiplied out spares a copy of the large one.
    """
    device = values.device.type
    return values.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else values
