"""Checkpoints: one safetensors file, replaced atomically, from which a run goes on bit for bit."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tastemaker.errors import ArtifactError


@dataclass
class State:
    """All that the loop carries from one epoch to the next, beside the weights in use."""

    epoch: int = 0
    """Finished epochs."""
    step: int = 0
    best_metric: float | None = None
    best_epoch: int = 0
    misses: int = 0
    """Validations since the best."""
    drops: int = 0
    """Validations that were no best, in all."""
    best_loss: float = float("inf")
    seconds: float = 0.0
    best_weights: dict[str, Tensor] = field(default_factory=dict)


_SCALARS = ("epoch", "step", "best_metric", "best_epoch", "misses", "drops", "best_loss", "seconds")


def save(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, state: State, identity: str) -> None:
    """Writes the checkpoint; a kill at any moment leaves the old one or the new one, never half a file."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value.contiguous() for name, value in state.best_weights.items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value).contiguous() for key, value in slots.items()}
    copies = {
        name: value.detach().cpu().clone() for name, value in tensors.items()
    }  # tied weights may not share memory in the file
    scalars = {name: getattr(state, name) for name in _SCALARS}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    save_file(copies, str(fresh), metadata={"state": json.dumps(scalars), "identity": identity})
    os.replace(fresh, path)


def load(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, identity: str) -> State:
    """Puts the weights and the optimizer back and returns the loop's state.

    Raises:
        ArtifactError: the file is damaged, or of a run with other settings or data.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise ArtifactError(f"cannot read {path.name}: {error}", hint="start anew without --resume") from None
    if metadata.get("identity") != identity:
        raise ArtifactError(
            "a checkpoint of another run", expected="the same model, settings and data", hint="start anew without --resume"
        )
    model.load_state_dict(_under(tensors, "model."))
    slots: dict[int, dict[str, Any]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        index, key = name.split(".", 1)
        slots.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
    return State(**json.loads(metadata["state"]), best_weights=_under(tensors, "best."))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
