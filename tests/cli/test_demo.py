import shlex
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_demo_runs_to_its_end_and_its_next_commands_work(tmp_path):
    command = [sys.executable, "-m", "tastemaker", "demo", "--no-serve"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for part in ("Import", "Data check", "baselines", "Choose by validation", "customer", "Similar items", "artifact"):
        assert part in done.stdout
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("  tastemaker ")]
    assert len(commands) == 3
    for line in commands:
        again = subprocess.run([sys.executable, "-m", *shlex.split(line)], cwd=tmp_path, capture_output=True, text=True)
        assert again.returncode == 0, f"{line}\n{again.stderr}"
