"""What an encoder is: columns of the catalogue go in, a vector an item comes out. Files of a run and models live elsewhere.

```
Encoder       fit(items, train) · encode(items) -> Vectors
```
An encoder that has nothing to learn ignores `fit`. One that learns (a vocabulary, an SVD, its own or a pre-trained network's weights)
keeps what it learned in parameters and buffers, so that a saved state encodes items that come later.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from tastemaker.data.interactions import Interactions
from tastemaker.nn.sparse import SizedByData
from tastemaker.settings import Settings

Progress = Callable[[int, int], object]
"""Called with how many items are done, of how many."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """A vector a row, where there was something to encode."""

    values: np.ndarray
    """float32 (rows, dim), finite; zeros where nothing is there"""
    present: np.ndarray
    """bool (rows,)"""
    rejects: Mapping[str, int] = field(default_factory=dict)
    """how many rows had something that could not be used, by reason"""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.values.shape[1])


class Encoder(SizedByData, abc.ABC):
    """Base of all encoders. Built from its `Config` alone; what `fit` learns is in parameters and buffers."""

    class Config(Settings):
        """Settings of the encoder; each encoder file defines its own."""

    reads: ClassVar[str]
    """What its columns hold: "text", "image", "video", "audio", "attributes", "vector", or "use" for one that reads no column."""

    costly: ClassVar[bool] = False
    """True when a row takes so long that its vector is worth keeping on disk."""

    def __init__(self, config: Settings) -> None:
        super().__init__()
        self.config: Any = config

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        """Learns what there is to learn.

        Args:
            items: the columns of its modality, a row per item place (code - 2).
            train: what may be known of who did what; item codes are places + 2.
            progress: told of what takes long.

        Raises:
            DataError: the columns are not what it reads.
            MissingExtraError: a package is missing; names the extra.
        """

    @abc.abstractmethod
    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        """Vectors of items, each row on its own: equal rows get equal vectors whatever stands beside them.

        Args:
            items: columns of the names and types of those `fit` saw, any number of rows.
            progress: told of what takes long.

        Raises:
            DataError: the columns are not what it reads.
            MissingExtraError: a package is missing; names the extra.
        """

    def keys(self, items: pa.Table) -> Sequence[bytes] | None:
        """16 bytes a row, equal only for rows of equal content; None: the values in the columns are the content."""
        return None

    @property
    @abc.abstractmethod
    def version(self) -> str:
        """16 hex digits: equal only if equal rows get equal vectors. Vectors are cached and compared under it."""
