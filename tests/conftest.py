"""Fixtures all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

# Learning tests on tiny worlds run an order of magnitude faster on one thread, in processes that tests start too.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

hypothesis.settings.register_profile("tastemaker", deadline=None)  # a busy machine is not a failure
hypothesis.settings.load_profile("tastemaker")

BENCH_DATA = Path(os.environ.get("TASTEMAKER_BENCH_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The folder of benchmark data sets; tests that ask for it are skipped where a clone has none."""
    if not BENCH_DATA.is_dir():
        pytest.skip(f"no benchmark data at {BENCH_DATA}; set TASTEMAKER_BENCH_DATA")
    return BENCH_DATA


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch on two threads, here and in processes that the test starts."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)
