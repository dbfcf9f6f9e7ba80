"""Sealed folders: files and a manifest with the hash of each, which appear whole or not at all and are checked before they are believed.

Hashes guard against damage and mix-ups; they are no signature, so they do not say who made a folder.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor, nn

from tastemaker import __version__
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import ArtifactError, ConfigError, MissingExtraError
from tastemaker.models.base import Model
from tastemaker.resolve import model_class
from tastemaker.settings import Settings

MANIFEST = "manifest.json"
AGAIN = "the artifact is damaged; copy the whole folder again or save the model again"
_MANIFEST_BYTES = 1 << 24
_UNSIGNED = "0" * 64


class FileFacts(Settings):
    """What a file must be."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ModelFacts(Settings):
    """What a model or ranker is."""

    name: str
    """as in `tastemaker models`"""
    config: dict[str, Any]


def seal(folder: Path | str, files: Mapping[str, Callable[[Path], None]], facts: Mapping[str, Any], what: str) -> Path:
    """Writes files and a manifest of `facts`, beside their place first, and returns the folder; a sealed folder there is replaced.

    Args:
        folder: a new or empty folder, or a sealed one to replace.
        files: by name, what writes it.
        facts: for the manifest: "format" and whatever else; NaN becomes null, what JSON does not know becomes text.
        what: what it is called in errors, such as "an artifact".

    Raises:
        ArtifactError: the folder holds something else or cannot be written.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / MANIFEST).is_file())):
        raise ArtifactError(
            f"{str(folder)!r} holds something else", expected=f"a new folder or {what} to replace", hint="choose another folder"
        )
    temporary = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.tmp"
    try:
        temporary.mkdir(parents=True)
        for name, write in files.items():
            write(temporary / name)
        whole = {
            "sha256": _UNSIGNED,
            "format": facts["format"],
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "tastemaker": __version__,
            "torch": torch.__version__,
            **_plain({name: value for name, value in facts.items() if name != "format"}),
            "files": {name: {"bytes": (temporary / name).stat().st_size, "sha256": _hash(temporary / name)} for name in files},
        }
        text = json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
        digest = hashlib.sha256(text.encode()).hexdigest()
        (temporary / MANIFEST).write_text(text.replace(_UNSIGNED, digest, 1), encoding="utf-8")
        _move(temporary, folder)
    except OSError as error:
        raise ArtifactError(
            f"{error.strerror or error}", expected=f"to write {str(folder)!r}", hint="check the path and free space"
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def read_facts(folder: Path | str, newest: int) -> dict[str, Any]:
    """What the manifest says; only the manifest is read and checked.

    Raises:
        ArtifactError: there is none, it is damaged, or of a format above `newest`.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(
            f"no {MANIFEST} in {str(folder)!r}", expected="an artifact folder", hint="`tastemaker train` makes one"
        )
    if path.stat().st_size > _MANIFEST_BYTES:
        raise damaged(MANIFEST, f"{path.stat().st_size} bytes")
    try:
        raw = path.read_bytes()
        facts = json.loads(raw.decode("utf-8"), parse_constant=_refuse)
    except OSError as error:
        raise ArtifactError(f"{error.strerror}", expected=f"to read {str(path)!r}") from None
    except (ValueError, RecursionError) as error:
        raise damaged(MANIFEST, f"not JSON: {error}") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int) or not isinstance(facts.get("sha256"), str):
        raise damaged(MANIFEST, "neither format nor sha256")
    if facts["format"] > newest:
        raise ArtifactError(f"artifact format {facts['format']}", expected=f"format ≤ {newest}", hint="update tastemaker")
    digest = facts["sha256"].encode()
    if len(digest) != 64 or hashlib.sha256(raw.replace(digest, _UNSIGNED.encode(), 1)).hexdigest().encode() != digest:
        raise damaged(MANIFEST, "its sha256 differs")
    return facts


def check_files(folder: Path, files: Mapping[str, FileFacts], names: tuple[str, ...]) -> None:
    """Refuses missing, extra, resized and changed files. Only names known here are ever opened."""
    if set(files) != set(names):
        raise damaged(MANIFEST, f"files {sorted(files)}")
    found = {entry.name for entry in folder.iterdir()} - {MANIFEST}
    for name in sorted(set(names) - found):
        raise ArtifactError(f"no {name} in {str(folder)!r}", expected=", ".join(names), hint="copy the whole folder again")
    for name in sorted(found - set(names)):
        raise ArtifactError(f"{name!r} in {str(folder)!r}", expected="only the artifact's own files", hint="move it elsewhere")
    for name, facts in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts.bytes:
            raise damaged(name, f"not a file of {facts.bytes} bytes")
        if _hash(path) != facts.sha256:
            raise damaged(name, "its sha256 differs")


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """The model's state in main memory, no two tensors sharing memory (safetensors stores each on its own)."""
    check_numbers(model)
    tensors: dict[str, Tensor] = {}
    stored: set[int] = set()
    for name, value in model.state_dict().items():
        tensor = value.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        tensors[name] = tensor.clone() if place in stored else tensor
        stored.add(place)
    return tensors


def check_numbers(model: nn.Module) -> None:
    """Parameters must be finite; buffers may be infinite (a bound that is not set) but not NaN."""
    parameters = dict(model.named_parameters())
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.numel():
            low, high = (float(value) for value in tensor.aminmax())  # NaN if any is, and nothing is allocated
            if math.isnan(low) or (name in parameters and math.isinf(high - low)):
                raise ArtifactError(
                    f"NaN or infinite weights in {name!r}",
                    expected="finite weights",
                    hint="training diverged; lower the learning rate",
                )


def load_weights(model: nn.Module, path: Path) -> None:
    """Loads a state into a fresh model of the same kind; the weights must have its types and be finite."""
    weights = load_file(path)
    for name, tensor in model.state_dict().items():
        if name in weights and weights[name].dtype != tensor.dtype:
            raise damaged(path.name, f"{name} is {weights[name].dtype} where the model has {tensor.dtype}")
    model.load_state_dict(weights)
    check_numbers(model)


def write_arrow(path: Path, table: pa.Table) -> None:
    """Writes one Arrow file."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def read_arrow(path: Path) -> pa.Table:
    """Opens an Arrow file, memory-mapped, every value checked."""
    table = pa.ipc.open_file(pa.memory_map(str(path), "r")).read_all()
    table.validate(full=True)
    return table


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move(temporary: Path, folder: Path) -> None:
    """Puts a finished folder in its place: at no moment is there half an artifact, not even after a power cut."""
    for path in [*temporary.iterdir(), temporary]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    if folder.exists() and any(folder.iterdir()):
        old = temporary.with_suffix(".old")
        folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old)
    else:
        temporary.rename(folder)


def _plain(value: Any) -> Any:
    """JSON's own types: NaN and infinities become null, keys text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def damaged(name: str, found: str) -> ArtifactError:
    """The error of a file that is not what was saved."""
    return ArtifactError(
        f"{name}: {found}", expected="the artifact as it was saved", hint="it is damaged; copy or train it again"
    )


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """What goes wrong in opening files that are not what they claim is the artifact's fault."""
    try:
        yield
    except (ArtifactError, MissingExtraError):
        raise
    except Exception as error:
        found = re.sub(r"\s+", " ", str(error) or type(error).__name__)[:500]
        raise ArtifactError(f"{str(folder)!r} cannot be opened: {found}", expected="a sound artifact", hint=AGAIN) from None


def built(facts: ModelFacts, sizes: FeatureSchema, weights: Path) -> Model:
    """The model that said `facts` of itself; the generator of the process is left as it was."""
    cls = model_class(facts.name)
    config = cls.Config.parse(facts.config, "model")
    with torch.random.fork_rng(devices=[]):
        model: Model = cls(config, sizes)
    load_weights(model, weights)
    return model


def model_name(model: Model) -> str:
    """The name that a config has for a model's class.

    Raises:
        ArtifactError: it is none of `tastemaker.models`.
    """
    name = type(model).__module__.rpartition(".")[2]
    try:
        known = model_class(name) is type(model)
    except ConfigError:
        known = False
    if not known:
        raise ArtifactError(
            f"a model of class {type(model).__qualname__!r}",
            expected="a model of tastemaker.models",
            hint="give it a file there",
        )
    return name
