"""Runs the long forms of the chaos tests one file after the other and keeps what came out.

    python -m bench.serve.chaos [FILE…]        or `make chaos`

`TASTEMAKER_CHAOS=full` (set here unless it is set) makes them long; `TASTEMAKER_KILLS` and `TASTEMAKER_SOAK_SECONDS` choose how long. A line for
each test goes to bench/results/chaos-DATE-TIME.json as soon as its file has been run. Ends with 1 where one failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def main() -> int:
    usual = {"TASTEMAKER_CHAOS": "full", "TASTEMAKER_KILLS": "200", "TASTEMAKER_SOAK_SECONDS": "3600"}
    settings = {name: os.environ.get(name, value) for name, value in usual.items()}
    files = sys.argv[1:] or [
        *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "chaos").glob("test_*.py")),
        "tests/store/test_failures.py",
    ]
    now = datetime.now(UTC)
    result: dict[str, Any] = {"bench": "chaos", "date": now.isoformat(timespec="seconds"), "settings": settings, "tests": []}
    result |= {"cores": len(os.sched_getaffinity(0)), "command": "python -m bench.serve.chaos " + " ".join(sys.argv[1:])}
    folder = ROOT / "bench" / "results" if settings["TASTEMAKER_CHAOS"] == "full" else Path(tempfile.gettempdir())
    target = folder / f"chaos-{now:%Y-%m-%d-%H%M}.json"
    for file in files:
        load, started = os.getloadavg()[0], time.perf_counter()
        with tempfile.TemporaryDirectory() as temporary:
            report = Path(temporary) / "report.xml"
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:xdist",
                "-m",
                "chaos or not chaos",
                f"--junitxml={report}",
                file,
            ]
            subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=False)
            found = cases(report) if report.exists() else [{"test": file, "outcome": "broke", "seconds": 0.0}]
        result["tests"] += [{**case, "load_average_before": round(load, 1)} for case in found]
        target.write_text(json.dumps(result, indent=1) + "\n")
        print(f"{file}: {time.perf_counter() - started:.0f} s", flush=True)
    bad = [case for case in result["tests"] if case["outcome"] in ("failed", "broke")]
    for case in result["tests"]:
        print(f"{case['outcome']:<8} {case['seconds']:>8.1f} s  {case['test']}")
    print(f"{len(bad)} of {len(result['tests'])} failed; written to {target}")
    return 1 if bad else 0


def cases(report: Path) -> list[dict[str, Any]]:
    """What pytest says of each test."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):
        fault = next((part for part in case if part.tag in ("failure", "error")), None)
        outcome = "failed" if fault is not None else "skipped" if case.find("skipped") is not None else "passed"
        said = {} if fault is None else {"said": (fault.get("message") or "")[:500]}
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        found.append({"test": name, "outcome": outcome, "seconds": float(case.get("time", 0)), **said})
    return found


if __name__ == "__main__":
    sys.exit(main())
