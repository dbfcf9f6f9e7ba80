"""Rows a second that the encoders of media encode, by the clock of the processor: python -m bench.content.encoding --data DIR

Posters of movielens-1m-posters, one thread, decoding included; with them clips and sounds that are made here. A second of the
processor is what an idle machine's one thread takes; other work on the same cores slows it by shared caches alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from tastemaker.resolve import encoder_class


def measured(name: str, settings: dict[str, Any], items: pa.Table) -> dict[str, Any]:
    """Rows a second, and what there was to encode."""
    kind = encoder_class(name)
    encoder = kind(kind.Config.parse(settings | {"threads": 1}))
    encoder.encode(items.slice(0, 8))
    began = time.process_time()
    found = encoder.encode(items)
    seconds = time.process_time() - began
    return {
        "encoder": name,
        **settings,
        "rows": len(items),
        "dim": found.dim,
        "rows_per_second": round(len(items) / seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=256)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    posters = pq.read_table(asked.data / "movielens-1m-posters" / "posters.parquet").select(["jpeg"]).slice(0, asked.rows)
    clips = pa.table({"clip": rng.integers(0, 256, (asked.rows // 4, 8, 32, 32), dtype=np.uint8).tolist()})
    sounds = pa.table({"sound": pa.array(list(rng.normal(0, 0.1, (asked.rows // 4, 160_000)).astype(np.float32)))})
    for name, settings, items in (
        ("image_cnn", {}, posters),
        ("image_cnn", {"size": 160}, posters),
        ("video", {}, clips),
        ("video", {"network": "attention"}, clips),
        ("audio", {}, sounds),
    ):
        print(json.dumps(measured(name, settings, items)))


if __name__ == "__main__":
    main()
