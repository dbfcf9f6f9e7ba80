"""Texts a second of the text encoders on the shipped sample's descriptions (4 words on average), and of vectors read from disk.

    OMP_NUM_THREADS=1 python bench/encode_texts.py [--encoders transformer tfidf …]

Bar: the default transformer ≥ 200 a second on one core, the second time read from disk. A text that several items share is encoded
once, and counted once. Wall seconds are those of this machine at its load; CPU seconds are those of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import tastemaker.data
from tastemaker import resolve
from tastemaker.data.interactions import Interactions
from tastemaker.encoders.parts.cache import encode_cached

SAMPLE = Path(tastemaker.data.__file__).parent / "sample" / "items.parquet"
ENCODERS = ("tfidf", "word2vec", "word_cnn", "transformer", "transformer in bfloat16")


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gave, wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+", choices=ENCODERS, default=ENCODERS)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / f"encode_texts-{time.strftime('%Y-%m-%d')}.json"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    items = pq.read_table(SAMPLE, columns=["description"])
    texts = len(items["description"].unique())
    empty = np.zeros(0, np.int32)
    nobody = Interactions(
        empty, empty, empty.astype(np.int64), empty.astype(np.float32), empty.astype(np.int8), empty.astype(np.int8)
    )
    rows = []
    for name in options.encoders:
        kind = resolve.encoder_class(name.split()[0])
        encoder = kind(kind.Config.parse({"precision": "bfloat16"} if "bfloat16" in name else {}))
        _, fit, _ = timed(lambda encoder=encoder: encoder.fit(items, nobody))
        _, first, _ = timed(lambda encoder=encoder: encoder.encode(pa.table({"description": ["a first one"]})))
        fresh, wall, cpu = timed(lambda encoder=encoder: encoder.encode(items))
        with tempfile.TemporaryDirectory() as folder:
            encode_cached(encoder, items, Path(folder))
            again, read, _ = timed(lambda encoder=encoder, folder=folder: encode_cached(encoder, items, Path(folder)))
        assert np.array_equal(again.present, fresh.present) and np.allclose(again.values, fresh.values, atol=0.01)
        row = {
            "encoder": name,
            "dim": fresh.dim,
            "fit_seconds": round(fit, 2),
            "first_text_seconds": round(first, 2),
            "texts_per_second": round(texts / wall),
            "texts_per_cpu_second": round(texts / cpu),
            "rows_per_second_from_disk": round(len(items) / read),
        }
        rows.append(row)
        print(row, flush=True)
    result = {
        "command": "OMP_NUM_THREADS=1 python bench/encode_texts.py",
        "date": time.strftime("%Y-%m-%d"),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": 1,
            "torch": torch.__version__,
        },
        "rows": len(items),
        "texts": texts,
        "words_per_text": round(float(np.mean([len(text.split()) for text in items["description"].to_pylist()])), 1),
        "encoders": rows,
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
