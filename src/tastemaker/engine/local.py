"""This machine: DuckDB through Ibis (larger than memory, it spills to disk) and processes of this Python."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tastemaker.engine.base import Result, Step, batches
from tastemaker.errors import ConfigError, TastemakerError


@dataclass(frozen=True)
class LocalEngine:
    """One machine.

    `memory_gb` bounds what DuckDB holds before it spills into `spill` (None: half of the machine's memory, and the system's
    temporary folder); `threads` bounds its cores (None: all).
    """

    memory_gb: float | None = None
    threads: int | None = None
    spill: Path | None = None

    def __post_init__(self) -> None:
        if self.memory_gb is not None and not self.memory_gb > 0:
            raise ConfigError(f"memory_gb = {self.memory_gb}", expected="more than 0")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"threads = {self.threads}", expected="at least 1")

    def connect(self) -> Any:
        """A fresh in-memory DuckDB as an Ibis backend; its clock is UTC and text is compared bytewise."""
        import ibis

        memory = self.memory_gb or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**31
        backend = ibis.duckdb.connect(
            threads=self.threads or len(os.sched_getaffinity(0)),
            memory_limit=f"{max(int(memory * 1024), 64)}MiB",
            temp_directory=str(self.spill or Path(tempfile.gettempdir()) / f"tastemaker-spill-{os.getpid()}"),
            preserve_insertion_order=True,
        )
        backend.raw_sql("set TimeZone = 'UTC'")
        return backend

    def map_batches(self, table: Any, step: Step, schema: pa.Schema) -> pa.Table:
        """See `Engine.map_batches`; batches are worked on one after the other, so memory holds the results alone."""
        source = table.to_batches() if isinstance(table, pa.Table) else batches(table)
        return pa.Table.from_batches([step(batch).cast(schema) for batch in source], schema=schema)

    def launch(self, work: Callable[[int, int], Result], workers: int) -> list[Result]:
        """See `Engine.launch`; processes are spawned, one worker runs in this process.

        Raises:
            TastemakerError: a process died; whatever `work` itself raises comes through as it is.
        """
        if workers < 1:
            raise ConfigError(f"workers = {workers}", expected="at least 1")
        if workers == 1:
            return [work(0, 1)]
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(work, rank, workers) for rank in range(workers)]
            try:
                return [future.result() for future in futures]
            except BrokenProcessPool:
                raise TastemakerError(
                    "a worker process died", hint="it may have run out of memory; use fewer workers"
                ) from None
