"""This machine as an engine."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tastemaker.engine.base import Engine
from tastemaker.engine.local import LocalEngine
from tastemaker.errors import ConfigError, TastemakerError


def share(rank: int, workers: int) -> tuple[int, int, int]:
    return rank, workers, os.getpid()


def die(rank: int, workers: int) -> None:
    os._exit(3)


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch({"x": pc.multiply(batch.column("x"), 2)})


def test_it_is_an_engine():
    assert isinstance(LocalEngine(), Engine)


def test_limits_reach_the_database(tmp_path):
    backend = LocalEngine(memory_gb=0.5, threads=1, spill=tmp_path).connect()
    asked = "select current_setting('threads'), current_setting('memory_limit'), current_setting('TimeZone')"
    assert backend.raw_sql(asked).fetchall() == [(1, "512.0 MiB", "UTC")]
    backend.disconnect()


def test_batches_are_mapped_from_arrow_and_from_the_database():
    engine, table = LocalEngine(), pa.table({"x": [1, 2, 3]})
    schema = pa.schema({"x": pa.int64()})
    assert engine.map_batches(table, doubled, schema)["x"].to_pylist() == [2, 4, 6]
    backend = engine.connect()
    backend.con.register("numbers", table)
    assert engine.map_batches(backend.table("numbers"), doubled, schema)["x"].to_pylist() == [2, 4, 6]
    backend.disconnect()


def test_work_runs_once_per_rank_in_processes_of_its_own():
    results = LocalEngine().launch(share, 2)
    assert [(rank, workers) for rank, workers, _ in results] == [(0, 2), (1, 2)]
    assert os.getpid() not in {process for _, _, process in results}
    assert LocalEngine().launch(share, 1) == [(0, 1, os.getpid())]


def test_a_dead_worker_is_a_typed_error():
    with pytest.raises(TastemakerError, match="died"):
        LocalEngine().launch(die, 2)


def test_limits_must_make_sense():
    for limits in ({"memory_gb": 0}, {"threads": 0}):
        with pytest.raises(ConfigError):
            LocalEngine(**limits)
    with pytest.raises(ConfigError):
        LocalEngine().launch(share, 0)
