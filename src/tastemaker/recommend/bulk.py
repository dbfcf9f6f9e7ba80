"""Recommendations for all users as one Parquet file, written as they come."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tastemaker.errors import DataError
from tastemaker.recommend.recommender import Recommender


def write_all(
    recommender: Recommender,
    path: Path | str,
    k: int = 10,
    *,
    include_seen: bool = False,
    chunk: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes `user_id, item_id, rank, score` for every known user to a Parquet file and returns the number of rows.

    Memory does not grow with the number of users: `chunk` of them are held at a time. The file appears when it is complete.
    `progress` is called after each chunk with the users done and their total. Users without history get the popular items.

    Raises:
        DataError: the file cannot be written.
    """
    path, total = Path(path), len(recommender.users)
    schema = pa.schema(
        {
            "user_id": recommender.users.ids.type,
            "item_id": recommender.items.ids.type,
            "rank": pa.int32(),
            "score": pa.float32(),
        }
    )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    rows = done = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(temporary, schema) as writer:
            for batch in recommender.recommend_all(k, include_seen=include_seen, chunk=chunk):
                writer.write_batch(batch)
                rows, done = rows + batch.num_rows, min(done + chunk, total)
                if progress:
                    progress(done, total)
        temporary.rename(path)
    except OSError as error:
        raise DataError(
            error.strerror or str(error), expected=f"to write {str(path)!r}", hint="check the path and free space"
        ) from None
    finally:
        if temporary.exists():
            temporary.unlink()
    return rows
