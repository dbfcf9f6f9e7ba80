"""MediaEncoder: cells are decoded to arrays of one shape, arrays go through a network that may be fitted to what users take next.

```
column  -decode, in threads->  arrays  -prepared->  network = before · last  ->  vectors
                               or reasons                     tune = "last" trains this, "full" both
```
"""

from __future__ import annotations

import abc
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Literal, Self

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.media.cells import UnusableError, file_key, folder_of, only_column
from tastemaker.data.vocabulary import FIRST
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.tuning import Tuned, tune
from tastemaker.encoders.parts.version import version_of
from tastemaker.errors import ConfigError, DataError
from tastemaker.log import logger
from tastemaker.resolve import plugged
from tastemaker.settings import Settings

_BATCHES = 8
"""Batches that are decoded ahead."""


Tune = Literal["none", "last", "full"]


class MediaSettings(Settings):
    """What the encoders of images, clips and sounds have in common."""

    folder: Path | None = Field(
        None, description="where files are whose paths the column holds; without it, paths are counted rejects"
    )
    module: str | None = Field(
        None, description='a network of your own in place of the one that is here: "package.module:factory"'
    )
    max_bytes: int = Field(64 << 20, ge=1, description="larger files are rejects")
    threads: int = Field(2, ge=1, le=64, description="that decode")

    def without_effect(self, names: Sequence[str], where: str) -> None:
        """For validators.

        Raises:
            ValueError: one of these settings is not its default.
        """
        if given := [name for name in names if getattr(self, name) != type(self).model_fields[name].default]:
            raise ValueError(f"no {given[0]}: it has no effect {where}")


class MediaEncoder(Encoder):
    """Base of encoders of files: a subclass says how a cell becomes an array and an array the network's input.

    Its settings have `tune` and `tuning` besides those of `MediaSettings`.
    """

    costly = True
    together = 4
    """Rows that go through the network at once, always: what is done for a row does not depend on how many stand beside it."""

    def __init__(self, config: Settings, net: nn.Module) -> None:
        super().__init__(config)
        self.net = net
        self.folder = folder_of(self.config.folder)
        self._named = ""
        self.tuned: Tuned | None = None
        """what fitting came to; None where nothing was fitted, and after loading"""
        self.dim = self._probed()
        if self.config.tune == "last":
            _halves(net)

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the array that a cell is decoded to."""

    @abc.abstractmethod
    def readable(self, kind: pa.DataType) -> bool:
        """Whether a column of this type can be decoded."""

    @abc.abstractmethod
    def decode(self, cell: Any) -> np.ndarray | None:
        """The array of a cell, of `shape`; None where it is empty. In threads, several at once.

        Raises:
            UnusableError: with the reason.
        """

    @abc.abstractmethod
    def prepared(self, arrays: Tensor) -> Tensor:
        """What the network reads, float32, of arrays stacked."""

    def train(self, mode: bool = True) -> Self:
        """As of any module, but that batch norms stay as they are: few rows stand beside each other, and what they learned is kept."""
        super().train(mode)
        for module in self.net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        """Fits the network to what users take next (`tastemaker.encoders.parts.tuning`), as much of it as `tune` says."""
        if self.folder is not None and not self.folder.is_dir():
            raise ConfigError(
                f"folder = {str(self.config.folder)!r}",
                expected="a folder that exists",
                hint="paths in the column are relative to it",
            )
        column = self.column(items)
        if self.config.tune == "none":
            return
        before, last = _halves(self.net) if self.config.tune == "last" else (None, self.net)
        with tempfile.TemporaryFile() as file:
            held, contents = self._held(column, train, before, file, progress)

            def vectors(places: np.ndarray) -> Tensor:
                given = torch.from_numpy(held[places]).to(self._device)
                return F.normalize(last(given if before else self.prepared(given)), dim=1)

            self.tuned = tune(self, list(last.parameters()), vectors, contents, train, self.config.tuning, progress)
        self.eval()
        self.forget()
        name = type(self).__module__.rpartition(".")[2]
        logger.info("%s: %d weights, %d steps of tuning", name, self.tuned.trained, self.tuned.steps)

    def _held(
        self, column: pa.Array, train: Interactions, before: nn.Module | None, file: IO[bytes], progress: Progress | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What goes into the part that is trained, of each different cell that somebody took, kept in a file; and which item has which."""
        taken = np.unique(train.item)
        taken = taken[(taken >= FIRST) & (taken < len(column) + FIRST)] - FIRST
        contents, places = np.full(len(column) + FIRST, -1), dict[bytes, int]()
        shape, kind = (0,), np.dtype(np.float32)
        with ThreadPoolExecutor(self.config.threads) as pool:
            for start, found in self._decoded(column.take(pa.array(taken)), pool):
                fresh = []
                for row, one in enumerate(found):
                    if not isinstance(one, np.ndarray):
                        continue
                    key = hashlib.blake2b(one.tobytes(), digest_size=16).digest()
                    if key not in places:
                        places[key] = len(places)
                        fresh.append(one)
                    contents[taken[start + row] + FIRST] = places[key]
                for first in range(0, len(fresh), self.together):
                    some = fresh[first : first + self.together]
                    kept = np.stack(some) if before is None else self._through(before, some)
                    file.write(np.ascontiguousarray(kept).data)
                    shape, kind = kept.shape[1:], kept.dtype
                if progress is not None:
                    progress(start + len(found), len(taken))
        if not places:
            return np.zeros((0, *shape), kind), contents
        file.flush()
        return np.memmap(file, kind, "r", shape=(len(places), *shape)), contents

    def column(self, items: pa.Table) -> pa.Array:
        """The column to decode.

        Raises:
            DataError: not one column, or not of a type that can be decoded.
        """
        found = only_column(items, self.reads)
        if not self.readable(found.type):
            raise DataError(
                f"column {items.column_names[0]!r} of type {found.type}", expected=f"{self.reads}: {_first_line(type(self))}"
            )
        return found

    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        column = self.column(items)
        values, present = np.zeros((len(column), self.dim), np.float32), np.zeros(len(column), bool)
        rejects: Counter[str] = Counter()
        with ThreadPoolExecutor(self.config.threads) as pool:
            for start, found in self._decoded(column, pool):
                rejects.update(one for one in found if isinstance(one, str))
                places = [place for place, one in enumerate(found) if isinstance(one, np.ndarray)]
                for first in range(0, len(places), self.together):
                    some = places[first : first + self.together]
                    vectors = self._through(self.net, [found[place] for place in some])
                    finite = np.isfinite(vectors).all(1)
                    rejects.update(["the network's vector is not finite"] * int((~finite).sum()))
                    rows = start + np.array(some)[finite]
                    values[rows], present[rows] = vectors[finite], True
                if progress is not None:
                    progress(start + len(found), len(column))
        return Vectors(values, present, dict(rejects))

    def keys(self, items: pa.Table) -> list[bytes]:
        return [file_key(cell.as_py(), self.folder) for cell in self.column(items)]

    @property
    def version(self) -> str:
        if not self._named:
            self._named = version_of(self)
        return self._named

    def forget(self) -> None:
        super().forget()
        self._named = ""

    def attempt(self, cell: pa.Scalar) -> np.ndarray | str | None:
        """The array of a cell, the reason why there is none, or None where the cell is empty."""
        try:
            return self.decode(cell.as_py())
        except UnusableError as reason:
            return str(reason)

    @property
    def _device(self) -> torch.device:
        return next((one.device for one in self.net.parameters()), torch.device("cpu"))

    def _decoded(self, column: pa.Array, pool: ThreadPoolExecutor) -> Iterator[tuple[int, list[np.ndarray | str | None]]]:
        """Rows decoded, from which row on; while one lot is used, the next is decoded."""
        lot, waiting = _BATCHES * self.together, list[tuple[int, list[Future[Any]]]]()
        for start in range(0, len(column), lot):
            cells = column.slice(start, lot)  # Arrow's values, since Python's take many times the room
            waiting.append((start, [pool.submit(self.attempt, cell) for cell in cells]))
            if len(waiting) > 1:
                first, futures = waiting.pop(0)
                yield first, [future.result() for future in futures]
        for first, futures in waiting:
            yield first, [future.result() for future in futures]

    def _through(self, part: nn.Module, arrays: list[Any]) -> np.ndarray:
        """float32 (n, …): what a part of the network makes of at most `together` arrays."""
        stacked = np.zeros((self.together, *self.shape), arrays[0].dtype)
        stacked[: len(arrays)] = arrays
        self.eval()
        with torch.inference_mode():
            found = part(self.prepared(torch.from_numpy(stacked).to(self._device)))
        return found[: len(arrays)].float().cpu().numpy()

    def _probed(self) -> int:
        """The length of the network's vectors.

        Raises:
            ConfigError: it is not a network of the kind that is asked for.
        """
        given = self.prepared(torch.zeros((2, *self.shape)))
        try:
            with torch.inference_mode():
                found = self.net.eval()(given)
        except Exception as error:  # a network of others raises what it likes
            told = str(error).splitlines()[0] if str(error) else ""
            raise ConfigError(
                f"module {self.config.module!r}: {type(error).__name__} {told}",
                expected=f"a network that reads {tuple(given.shape)}",
            ) from None
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ConfigError(f"module {self.config.module!r} makes {shape} of {tuple(given.shape)}", expected="(n, d)")
        return int(found.shape[1])


def _halves(net: nn.Module) -> tuple[nn.Module, nn.Module]:
    """What stays as it is, and what `tune = "last"` trains: from the last layer on that has weights, or as many as the network says.

    Raises:
        ConfigError: the network is no `torch.nn.Sequential` of two or more.
    """
    layers = list(net) if isinstance(net, nn.Sequential) and type(net).forward is nn.Sequential.forward else []
    weighty = [place for place, layer in enumerate(layers) if any(True for _ in layer.parameters())]
    last = getattr(net, "last", None)
    first = len(layers) - last if isinstance(last, int) else max(weighty, default=0)
    if not 0 < first < len(layers):
        raise ConfigError(
            f'tune = "last" of a {type(net).__name__}',
            expected="a torch.nn.Sequential of several layers, the last of which is trained",
            hint='tune = "full" trains any network',
        )
    return nn.Sequential(*layers[:first]), nn.Sequential(*layers[first:])


def plugged_network(path: str, where: str) -> nn.Module:
    """The network that a setting such as "package.module:factory" names: a callable without arguments that returns it.

    Raises:
        ConfigError: there is none, or what it returns is no network.
    """
    factory = plugged(path, where)
    if not callable(factory):
        raise ConfigError(
            f"{where} = {path!r} is a {type(factory).__name__}", expected="a callable that returns a torch module"
        )
    try:
        net = factory()
    except Exception as error:  # what others wrote raises what it likes
        raise ConfigError(
            f"{where} = {path!r}: {type(error).__name__}: {error}", expected="a callable without arguments"
        ) from None
    if not isinstance(net, nn.Module):
        raise ConfigError(f"{where} = {path!r} returns a {type(net).__name__}", expected="a torch module")
    return net


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]
