import contextlib
import json
import shlex
import signal
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_demo_ends_by_serving_and_all_it_tells_to_try_works(tmp_path):
    command = [sys.executable, "-u", "-m", "tastemaker", "demo", "--port", "0"]
    with (
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo,
        contextlib.ExitStack() as at_the_end,
    ):
        at_the_end.callback(demo.kill)
        assert demo.stdout is not None
        lines: list[str] = []
        while sum(line.startswith("curl ") for line in lines) < 3:
            line = demo.stdout.readline()
            assert line, "".join(lines)
            lines.append(line)
        told = "".join(lines)
        for part in (
            "Import",
            "Data check",
            "baselines",
            "Choose by validation",
            "customer",
            "Similar items",
            "artifact",
            "/docs",
        ):
            assert part in told

        before, taken, after = (json.loads(output(line, tmp_path)) for line in lines if line.startswith("curl "))
        assert before["status"] == "fallback" and taken["accepted"] == 1 and after["status"] == "ok"
        assert [one["item_id"] for one in before["items"]] != [one["item_id"] for one in after["items"]]

        demo.send_signal(signal.SIGINT)  # Ctrl-C
        last = demo.stdout.read()
        assert demo.wait(60) == 0
        assert "/#/shopfront?user=" in last and last.splitlines()[-1].startswith("stopped; the same again: tastemaker serve")
        commands = [line.strip() for line in lines if line.startswith("  tastemaker ")]
        assert len(commands) == 3
        for line in commands:
            output(f"{sys.executable} -m {line}", tmp_path)


def output(line: str, folder) -> str:
    done = subprocess.run(shlex.split(line), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout
