"""Describing: the report of `tastemaker data describe` on a store's events, made by a job in a process of its own, and kept in the store.

```
POST /v1/data:describe ─▶ job ─▶ snapshot of the store ─▶ explore ─▶ setting `data_quality` ─▶ GET /v1/data/quality
```
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tastemaker.errors import RequestError
from tastemaker.serve.jobs import ACTIVE, DESCRIBE, now
from tastemaker.serve.registry import Registry
from tastemaker.serve.times import to_text
from tastemaker.store.base import Job, Store
from tastemaker.wire.data import Bar, Plots, Quality

_SETTING = "data_quality"
_DAY = 86_400_000_000
_DAYS = 400
"""Of a longer stretch of time months are counted, not days."""

Say = Callable[..., None]


def ask(store: Store) -> Job:
    """Queues the report.

    Raises:
        RequestError: one is under way (409), or there is nothing to report on (409).
    """
    if store.url == "memory:":
        raise RequestError("a store in memory", code="no_jobs", status=409, expected="a store that another process can open")
    if going := next((job for job in store.jobs(DESCRIBE, 100) if job.state in ACTIVE), None):
        raise RequestError(f"a report is under way ({going.job_id})", code="already_describing", status=409)
    sequence = store.last_sequence()
    if not sequence:
        raise RequestError("a store without events", code="no_events", status=409, hint="send some first")
    moment = now()
    detail = {"created": moment, "sequence": sequence, "phase": "queued", "kills": 0}
    job = Job(f"describe-{moment:x}-{secrets.token_hex(4)}", DESCRIBE, "queued", moment, moment, 0.0, detail)
    store.put_job(job)
    return job


def work(registry: Registry, job_id: str, detail: Any, folder: Path, say: Say, threads: int | None = None) -> dict[str, Any]:
    """Does the job; what it found is kept in the store."""
    from tastemaker.experiment.explore import explore
    from tastemaker.experiment.result import plain
    from tastemaker.experiment.snapshot import exported

    say(phase="reading", progress=0.05)
    sequence = exported(registry.store, folder / "data")
    say(phase="describing", progress=0.5)
    imported, report = explore(str(folder / "data"))
    found = {"at": now(), "sequence": sequence, "report": plain(report.to_dict()), "import": plain(imported.to_dict())}
    found["plots"] = _plots(folder / "data" / "events.parquet")
    registry.store.setting(_SETTING, json.dumps(found))
    return {"problems": len(report.problems), "events": report.interactions}


def quality(store: Store) -> Quality:
    """The newest report, and how many events came since."""
    text, last = store.setting(_SETTING), store.last_sequence()
    job = next((one.job_id for one in store.jobs(DESCRIBE, 10) if one.state in ACTIVE), None)
    if not text:
        return Quality(made=None, events_since=last, report=None, plots=None, job_id=job)
    found = json.loads(text)
    plots = {name: [Bar(label=label, count=count) for label, count in rows] for name, rows in found["plots"].items()}
    return Quality(
        made=to_text(found["at"]),
        events_since=max(0, last - found["sequence"]),
        report=found["report"] | {"import": found["import"]},
        plots=Plots(**plots),
        job_id=job,
    )


def _plots(events: Path) -> dict[str, list[tuple[str, int]]]:
    """Histograms of events per user and per item, in bins that double, and events per day or month."""
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(events, columns=["user_id", "item_id", "time"])

    def spread(name: str) -> list[tuple[str, int]]:
        counts = pc.value_counts(table[name]).field("counts").to_numpy(zero_copy_only=False)
        powers = np.bincount(np.log2(counts).astype(int))
        bounds = [(1 << power, (2 << power) - 1) for power in range(len(powers))]
        return [
            (f"{low:,}" if low == high else f"{low:,} – {high:,}", int(n))
            for (low, high), n in zip(bounds, powers, strict=True)
        ]

    times = table["time"].cast("int64").to_numpy()
    long = (int(times.max()) - int(times.min())) // _DAY > _DAYS
    unit = "M" if long else "D"
    stamps, counts = np.unique(times.astype("datetime64[us]").astype(f"datetime64[{unit}]"), return_counts=True)
    return {
        "per_user": spread("user_id"),
        "per_item": spread("item_id"),
        "over_time": [(str(stamp), int(count)) for stamp, count in zip(stamps, counts, strict=True)],
    }
