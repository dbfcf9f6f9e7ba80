"""MediaEncoder: cells are decoded to arrays of one shape, arrays go through a network; what cannot be decoded is counted."""

from __future__ import annotations

import abc
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.media.cells import UnusableError, file_key, folder_of, only_column
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.version import version_of
from tastemaker.errors import ConfigError, DataError
from tastemaker.resolve import plugged
from tastemaker.settings import Settings

_BATCHES = 8
"""Batches that are decoded ahead."""


class MediaSettings(Settings):
    """What the encoders of images, clips and sounds have in common."""

    folder: str = Field("", description="where files are whose paths the column holds; without it, paths are counted rejects")
    module: str = Field("", description='a network of your own in place of the one that is here: "package.module:factory"')
    max_bytes: int = Field(64 << 20, ge=1, description="larger files are rejects")
    threads: int = Field(2, ge=1, le=64, description="that decode")


class MediaEncoder(Encoder):
    """Base of encoders of files: a subclass says how a cell becomes an array and an array the network's input."""

    costly = True
    together = 4
    """Rows that go through the network at once, always: what is done for a row does not depend on how many stand beside it."""

    def __init__(self, config: Settings, net: nn.Module) -> None:
        super().__init__(config)
        self.net = net
        self.folder = folder_of(self.config.folder)
        self._named = ""
        self.dim = self._probed()

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

    def forward(self, arrays: Tensor) -> Tensor:
        """float32 (n, dim): vectors of decoded arrays, differentiable."""
        return self.net(self.prepared(arrays.to(self._device)))

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
                    vectors = self._vectors([found[place] for place in some])
                    finite = np.isfinite(vectors).all(1)
                    rejects.update(["the network's vector is not finite"] * int((~finite).sum()))
                    rows = start + np.array(some)[finite]
                    values[rows], present[rows] = vectors[finite], True
                if progress is not None:
                    progress(start + len(found), len(column))
        return Vectors(values, present, dict(rejects))

    def keys(self, items: pa.Table) -> list[bytes]:
        return [file_key(cell, self.folder) for cell in self.column(items).to_pylist()]

    @property
    def version(self) -> str:
        if not self._named:
            self._named = version_of(self)
        return self._named

    def forget(self) -> None:
        super().forget()
        self._named = ""

    def attempt(self, cell: Any) -> np.ndarray | str | None:
        """The array of a cell, the reason why there is none, or None where the cell is empty."""
        try:
            return self.decode(cell)
        except UnusableError as reason:
            return str(reason)

    @property
    def _device(self) -> torch.device:
        return next((one.device for one in self.net.parameters()), torch.device("cpu"))

    def _decoded(self, column: pa.Array, pool: ThreadPoolExecutor) -> Iterator[tuple[int, list[np.ndarray | str | None]]]:
        """Rows decoded, from which row on; while one lot is used, the next is decoded."""
        lot, waiting = _BATCHES * self.together, list[tuple[int, list[Future[Any]]]]()
        for start in range(0, len(column), lot):
            cells = column.slice(start, lot).to_pylist()
            waiting.append((start, [pool.submit(self.attempt, cell) for cell in cells]))
            if len(waiting) > 1:
                first, futures = waiting.pop(0)
                yield first, [future.result() for future in futures]
        for first, futures in waiting:
            yield first, [future.result() for future in futures]

    def _vectors(self, arrays: list[Any]) -> np.ndarray:
        """float32 (n, dim) of at most `together` arrays."""
        stacked = np.zeros((self.together, *self.shape), arrays[0].dtype)
        stacked[: len(arrays)] = arrays
        with torch.inference_mode():
            found = self.eval()(torch.from_numpy(stacked))
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
