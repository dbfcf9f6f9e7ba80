"""Measures the service against its bars, over HTTP, load generator and server on the same cores.

    python -m bench.serve.run [--only NAME…] [--scale 0.01] [--seconds 20] [--world DIR]        or `make bench-serve`

The world is built on the first run (minutes) and kept. At full scale figures go to bench/results/serve-DATE-TIME.json after each case, so
a run that is cut off keeps what it has. Ends with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.serve import world as worlds
from bench.serve.bars import CASES, Row, Session, clear

RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    worlds.arguments(parser)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), help="some of the cases")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load; overload takes three times as long")
    parser.add_argument("--keep", action="store_true", help="leave the run's folder (the server's log) where it is")
    asked = parser.parse_args()
    print(f"world at scale {asked.scale:g} …", flush=True)
    made = worlds.world(asked.world, asked.scale)
    session = Session(made, Path(tempfile.mkdtemp(prefix="run-", dir=made.folder)), asked.seconds)
    result: dict[str, Any] = about(asked.scale, made)
    target = (RESULTS if asked.scale >= 1 else made.folder) / f"serve-{datetime.now(UTC):%Y-%m-%d-%H%M}.json"
    missed = 0
    try:
        for name in asked.only:
            before = os.getloadavg()
            started = time.perf_counter()
            try:
                rows = CASES[name](session)
            except (Exception, SystemExit) as error:  # one case that breaks is not to take the others with it
                traceback.print_exc()
                rows = [Row(name, f"broke: {type(error).__name__}: {error}", "runs", False)]
            missed += sum(row.met is False for row in rows)
            result["cases"][name] = {
                "load_average_before": [round(one, 1) for one in before],
                "seconds": round(time.perf_counter() - started, 1),
                "rows": [asdict(row) for row in rows],
            }
            show(name, rows, before[0])
            target.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    finally:
        if asked.keep:
            print(f"kept: {session.folder}")
        else:
            clear(session)
    print(f"{missed} bars missed; written to {target}")
    return 1 if missed else 0


def about(scale: float, made: worlds.World) -> dict[str, Any]:
    """What the figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "",
    )
    return {
        "bench": "serve",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python -m bench.serve.run " + " ".join(sys.argv[1:]),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model,
        "python": platform.python_version(),
        "scale": scale,
        "world": {"items": made.items, "users": made.users, "events": made.events, "store_mb": made.store.stat().st_size >> 20},
        "note": "load generator and server share the cores; weights are not trained",
        "cases": {},
    }


def show(name: str, rows: list[Row], load: float) -> None:
    print(f"\n== {name} (load average before: {load:.1f})")
    for row in rows:
        mark = {True: "ok    ", False: "MISSED", None: "      "}[row.met]
        print(f"{mark} {row.what:<40} {row.found}" + (f"   [{row.bar}]" if row.bar else ""), flush=True)


if __name__ == "__main__":
    sys.exit(main())
