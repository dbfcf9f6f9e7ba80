"""Engine: where table work and processes run. Above this line nobody knows whether that is one machine or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

import pyarrow as pa

Result = TypeVar("Result")
Step = Callable[[pa.RecordBatch], pa.RecordBatch]


@runtime_checkable
class Engine(Protocol):
    """Three abilities; the expressions and functions handed over are the same on every engine."""

    def connect(self) -> Any:
        """An Ibis backend that can read files and run table expressions; the caller closes it with `disconnect()`."""

    def map_batches(self, table: Any, step: Step, schema: pa.Schema) -> pa.Table:
        """Applies `step` to each batch of an Ibis or Arrow table; batch borders carry no meaning. Rows of `schema` come out."""

    def launch(self, work: Callable[[int, int], Result], workers: int) -> list[Result]:
        """Runs `work(rank, workers)` once per rank in processes of their own; results in rank order. `work` must be importable."""


def batches(table: Any, rows: int = 1_000_000) -> Iterator[pa.RecordBatch]:
    """The rows of an Ibis table as Arrow batches of about `rows`, never all in memory at once."""
    backend = table.get_backend()
    if backend.name == "duckdb":
        # Ibis 12 asks DuckDB for a method that DuckDB 2 no longer has.
        yield from backend.con.sql(backend.compile(table)).to_arrow_reader(rows)
    else:
        yield from table.to_pyarrow_batches(chunk_size=rows)
