"""Which encoder made a vector: a hash of its name, its settings and all that it learned."""

from __future__ import annotations

import hashlib

import torch

from tastemaker.encoders.base import Encoder


def version_of(encoder: Encoder, *more: str) -> str:
    """16 hex digits over the encoder's file, settings, parameters and buffers, and over `more` (what it was built on)."""
    digest = hashlib.blake2b(digest_size=8)
    for text in (type(encoder).__module__.rpartition(".")[2], encoder.config.model_dump_json(), *more):
        digest.update(text.encode() + b"\0")
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
