from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from tastemaker.cli import _keep_freed_pages
if sys.argv[1] == "kept":
    _keep_freed_pages()
def step():
    table = np.ones(1 << 24, np.float32)
    return float((table * 2.0)[0])
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has its own ways")
def test_a_step_of_the_command_gets_the_pages_that_the_last_one_freed() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("kept", "as_it_is")
    )
    assert kept < 100 < given_back
