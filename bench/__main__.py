"""`python -m bench [NAME…]`: runs the speed benchmarks one after another; each prints its figures and writes them to bench/results.

    browse_catalogue search in a million items, and the map of a hundred thousand
    encode_texts     texts a second of the text encoders, and from disk
    evaluate_speed   judging 30 k users × 41 k items
    graph_epoch      LightGCN: CPU seconds an epoch
    http_overhead    what HTTP costs a request beyond the service's own work
    prepare_20m      20 million events to a dataset
    sparse_ease      300 thousand items: seconds and memory of the sparse regression
    store_ingest     events into the store and questions to it, 10 million stored
    train_speed      SASRec: CPU seconds an epoch, against the floor

`bench/peers` compares with other libraries, which need environments of their own: see its README. `bench.ctr.frappe_rows` writes the rows
that models which rank by features are compared on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = (
    "browse_catalogue",
    "encode_texts",
    "evaluate_speed",
    "graph_epoch",
    "http_overhead",
    "prepare_20m",
    "sparse_ease",
    "store_ingest",
    "train_speed",
)


def main() -> int:
    names = sys.argv[1:] or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"error: no benchmark {unknown[0]!r}; expected some of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names:
        print(f"== {name}", flush=True)
        failed += subprocess.run([sys.executable, str(HERE / f"{name}.py")], env=os.environ, check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
