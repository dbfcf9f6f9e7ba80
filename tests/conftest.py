"""Fixtures all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
import torch

# Processes that tests start too: with two threads a killed and resumed run was once seen to end with other bits (docs/log.md).
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)  # learning tests on tiny worlds run an order of magnitude faster so

hypothesis.settings.register_profile("tastemaker", deadline=None)  # a busy machine is not a failure
hypothesis.settings.load_profile("tastemaker")

BENCH_DATA = Path(os.environ.get("TASTEMAKER_BENCH_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The folder of benchmark data sets; tests that ask for it are skipped where a clone has none."""
    if not BENCH_DATA.is_dir():
        pytest.skip(f"no benchmark data at {BENCH_DATA}; set TASTEMAKER_BENCH_DATA")
    return BENCH_DATA
