"""Time the peers' SASRec one after another, each under its own interpreter, and print a table.

    python bench/peers/run.py --peers DIR --events ml1m.parquet --max-length 200 --batch 128 --steps 20

Further arguments go to every peer's script (`--threads 2`, `--malloc default`, `--eval-every 1`, ...). RecBole trains on prefixes
and is measured at its own defaults: length 50, 2,048 prefixes a step, dropout 0.5, a few steps of one epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PEERS = ("rectools", "replay", "recbole")
ALL = ("tastemaker", *PEERS)
COLUMNS = (
    "peer",
    "version",
    "events",
    "batch",
    "max_length",
    "threads",
    "malloc",
    "cpu_s_per_epoch",
    "wall_s_per_epoch",
    "peak_rss_mb",
    "measured",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=os.environ.get("TASTEMAKER_PEERS"), help="folder of the environments")
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--max-length", default="200")
    parser.add_argument("--batch", default="128", help="users a step")
    parser.add_argument("--epochs", default="1")
    parser.add_argument("--steps", help="measure so many steps of the peers' first epoch only (of ours a whole one)")
    parser.add_argument("--only", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--out", type=Path, help="append the lines of JSON here")
    arguments, passed_on = parser.parse_known_args()
    if arguments.peers is None:
        parser.error(
            "no folder of environments. hint: give --peers DIR or set TASTEMAKER_PEERS; bench/peers/README.md makes them"
        )
    results = []
    for peer in arguments.only:
        python = Path(sys.executable) if peer == "tastemaker" else Path(arguments.peers) / peer / "bin" / "python"
        if not python.exists():
            parser.error(f"no {python}. hint: bench/peers/README.md shows how to make it, or leave {peer} out with --only")
        if peer == "recbole":
            settings = ["--epochs", "1", "--steps", "12"]
        else:
            epochs = "2" if arguments.steps and peer == "tastemaker" else arguments.epochs
            settings = ["--max-length", arguments.max_length, "--batch", arguments.batch, "--epochs", epochs]
            if arguments.steps and peer != "tastemaker":
                settings += ["--steps", arguments.steps]
        command = [str(python), str(HERE / f"{peer}_sasrec.py"), "--events", str(arguments.events), *settings, *passed_on]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"{peer} failed with exit code {done.returncode}; its messages are above")
        results.append(json.loads(done.stdout.splitlines()[-1]))
        if arguments.out:
            with arguments.out.open("a") as lines:
                lines.write(json.dumps(results[-1]) + "\n")
    print(table(results))


def table(results: list[dict]) -> str:
    """The results as a Markdown table, a row each."""
    rows = [[str((line["settings"] | line)[column]) for column in COLUMNS] for line in results]
    return "\n".join("| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows))


if __name__ == "__main__":
    main()
