"""What runs the service: versions, memory, queues, settings in force."""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tastemaker import __version__
from tastemaker.serve.times import to_text
from tastemaker.wire.lineage import System

if TYPE_CHECKING:
    from tastemaker.serve.call import Parts

_PACKAGES = ("torch", "numpy", "pyarrow", "starlette", "uvicorn", "sqlalchemy", "msgspec")
_LOGIN = re.compile(r"(://)[^/?#\s]*@")
_STARTED = time.time_ns() // 1000


def system(parts: Parts) -> System:
    """All of it; walks through the folder of versions."""
    import torch

    folder = None if parts.registry is None else parts.registry.folder
    return System(
        versions={"tastemaker": __version__, "python": platform.python_version(), **_packages()},
        platform=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processors=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        started=to_text(_STARTED),
        memory=_memory(),
        store=parts.store.url.partition(":")[0] if "://" in parts.store.url else "sqlite",
        models=None if folder is None else str(folder),
        models_size=None if folder is None else _size(folder),
        queues={
            "recommend": parts.batcher.depth,
            "lists": parts.lists.busy,
            "reads": parts.reads.busy,
            "writes": parts.writes.busy,
            "control": parts.control.busy,
        },
        listeners=parts.broadcast.listeners,
        settings={name: shown(one.model_dump(mode="json")) for name, one in parts.settings.items()},
    )


def shown(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings without the name and password that an address may hold (`https://name:password@host`)."""
    return {key: _LOGIN.sub(r"\1…@", value) if isinstance(value, str) else value for key, value in settings.items()}


def _packages() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _memory() -> int:
    """Bytes in memory; where the system does not tell, the most there ever were."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except OSError:  # a version that is being removed
                continue
    return total
