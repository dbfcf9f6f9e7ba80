"""Where training runs, and in which precision it multiplies."""

from __future__ import annotations

import torch

from tastemaker.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, else the CPU. Raises ConfigError for a device that is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r}", expected='"auto", "cpu", "cuda" or "cuda:N"') from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device here", expected=f"device {name!r}", hint='use device = "auto"')
    return device


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, else float32."""
    if precision == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
        flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return torch.bfloat16 if flags.get("avx512_bf16") or flags.get("amx_bf16") else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
