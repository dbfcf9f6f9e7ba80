"""Training for the service, in a process of its own: from the store's events to a version, judged and promoted.

Each step may be cut off by a kill at any moment and is then done again from where it stood: the run goes on from its checkpoint, a
version enters the registry once for each job, and a promotion that happened is not repeated.

```
python -m tastemaker.serve.training      started by `jobs.Runner`; reads one line of JSON, says how it goes in lines of JSON
```

The process ends as soon as its standard input closes, so it never outlives the service that started it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tastemaker.errors import ArtifactError, ConfigError, RequestError, TastemakerError
from tastemaker.experiment.any_config import is_two_stage
from tastemaker.experiment.config import Config
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import RunResult, plain
from tastemaker.experiment.run import train_run
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.experiment.two_stage import stage_run
from tastemaker.recommend import artifact
from tastemaker.resolve import model_names
from tastemaker.serve import describing
from tastemaker.serve.course import STEPS
from tastemaker.serve.jobs import DESCRIBE
from tastemaker.serve.registry import Registry
from tastemaker.serve.settings import GateSettings
from tastemaker.store.base import ModelVersion, open_store
from tastemaker.train.loop import Record

Say = Callable[..., None]
"""Takes what is to be known of a job's progress, as keywords."""

_OWN = {
    "data": ("events", "items", "users", "columns"),
    "split": ("train", "validation", "test"),
    "run": ("writers", "start_from"),
}
_TRIES = 3


def config_of(tree: Mapping[str, Any], base: Path | str = ".") -> Config | StageConfig:
    """The config of a training on a store's events, from sections as they may come from outside.

    Where events come from and where things are written is the service's own affair, and so are the variables of its environment.

    Raises:
        ConfigError: as `parse` of either kind, or a setting that only files may hold.
    """
    if "${" in json.dumps(plain(tree)):
        raise ConfigError("a variable of the environment in a text", expected="plain values")
    for section, keys in _OWN.items():
        for key in keys:
            if isinstance(tree.get(section), Mapping) and tree[section].get(key) is not None:
                raise ConfigError(f"{section}.{key}", expected="events from the store", hint=f"remove {section}.{key}")
    sections = {name: dict(values) if isinstance(values, Mapping) else values for name, values in tree.items()}
    if is_two_stage(sections):
        return StageConfig.parse(sections, base)
    evaluate = {"baselines": ["popularity"]}
    if isinstance(sections.get("evaluate", {}), dict):
        sections["evaluate"] = evaluate | sections.get("evaluate", {})
    return Config.parse(sections, base)


def asked_before(registry: Registry, name: str) -> dict[str, Any]:
    """The config that a line of versions is trained with: the newest version's, else the defaults of the model of that name.

    Raises:
        RequestError: no version, and no model of that name.
    """
    for version in registry.store.models(name):
        if isinstance(version.facts.get("config"), dict):
            return dict(version.facts["config"])
    if name not in model_names():
        raise RequestError(
            f"no version of {name!r} and no model of that name",
            code="no_config",
            expected="a config with [model] name",
            hint=f"models: {', '.join(model_names())}",
        )
    return {"model": {"name": name}}


def work(
    registry: Registry, job_id: str, detail: Mapping[str, Any], folder: Path, say: Say, threads: int | None = None
) -> dict[str, Any]:
    """Does a job; `folder` is the run's. What is already done is found and not done twice.

    Args:
        registry: where the version goes; brings the store.
        job_id: kept with the version.
        detail: the job's: name, config, promote, start_from.
        folder: of the run, to go on in if it is there.
        say: told how it goes.
        threads: cores that may be used.

    Returns:
        The result: version, whether it was promoted, and the gate's reasons.
    """
    name = detail["name"]
    version = next((one for one in registry.store.models(name) if one.facts.get("job") == job_id), None)
    if version is None:
        version = _trained(registry, job_id, detail, folder, say, threads)
    result: dict[str, Any] = {"version": version.version, "promoted": version.state in ("promoted", "retired"), "reasons": []}
    if detail.get("promote", True) and version.state == "candidate":
        say(phase="gate", progress=0.95)
        try:
            registry.promote(name, version.version)
            result["promoted"] = True
        except RequestError as error:
            if error.code != "gate_refused":
                raise
    judged = registry.find(name, version.version).facts.get("gate") or {}
    return result | {"reasons": judged.get("reasons", []), "warnings": judged.get("warnings", [])}


def entered(registry: Registry, result: RunResult, name: str, **facts: Any) -> ModelVersion:
    """Takes a finished run into the registry, with what the gate must know of its training."""
    report = result.report
    protocol = report["protocol"]
    learned = {
        "split": protocol["split"]["kind"],
        "sequence": report["data"].get("store_sequence", 0),
        "cut": protocol["cut"],
    }
    told = {"learned": learned, "epochs": report["epochs"], "train_seconds": report["train_seconds"], "notes": report["notes"]}
    told |= {"run": result.id, "metric": protocol["chosen_by"]}
    return registry.add(result.artifact, name, {**told, **facts})


def _trained(
    registry: Registry, job_id: str, detail: Mapping[str, Any], folder: Path, say: Say, threads: int | None
) -> ModelVersion:
    if folder.exists() and not (folder / "run.json").exists():
        shutil.rmtree(folder)  # killed before the run had a name
    for last in (False,) * (_TRIES - 1) + (True,):
        try:
            config = _config(registry, detail, threads)
            say(phase="training", progress=0.0)
            given: dict[str, Any] = {
                "store": registry.store,
                "resume": True,
                "on_record": lambda record: _tell(record, say, folder),
                "ledger": Ledger(folder.parent),
            }
            result = (
                stage_run(config, folder, **given) if isinstance(config, StageConfig) else train_run(config, folder, **given)
            )
            say(phase="saving", progress=0.9)
            return entered(registry, result, detail["name"], job=job_id, config=detail["config"])
        except (ArtifactError, ConfigError):
            # a checkpoint that is damaged or of other settings, or a user erased while it was trained: begin anew, a few times
            if last or not folder.exists():
                raise
            shutil.rmtree(folder)
    raise AssertionError("the last try returns or raises")


def _config(registry: Registry, detail: Mapping[str, Any], threads: int | None) -> Config | StageConfig:
    tree = {name: dict(values) for name, values in detail["config"].items()}
    checked = config_of(tree)
    update: dict[str, Any] = {}
    if threads:
        update["data"] = checked.data.model_copy(update={"threads": min(threads, checked.data.threads or threads)})
        if checked.train.threads:
            update["train"] = checked.train.model_copy(update={"threads": min(threads, checked.train.threads)})
    if isinstance(checked, StageConfig):
        return replace(checked, **update)
    earlier = _earlier(registry, detail, checked.model_name)
    update["run"] = checked.run.model_copy(update={"start_from": earlier})
    return replace(checked, **update)


def _earlier(registry: Registry, detail: Mapping[str, Any], model: str) -> str | None:
    """The artifact to begin with: the newest sound version of the line that was not refused and had not been asked for later."""
    if not detail.get("warm_start", True):
        return None
    for version in registry.store.models(detail["name"]):
        if version.created < detail["created"] and version.state != "refused" and version.facts.get("model") == model:
            try:
                artifact.load(version.path)
            except ArtifactError:
                continue
            return version.path
    return None


def _tell(record: Record, say: Say, folder: Path) -> None:
    if not record.complete and folder.is_dir():
        step = {"epoch": record.epoch - 1 + record.share, "loss": record.loss, "seconds": record.seconds}
        with (folder / STEPS).open("a") as file:
            file.write(json.dumps(plain(step | {"targets_per_second": record.targets_per_second})) + "\n")
    done = (record.epoch - 1 + record.share) if not record.complete else record.epoch
    told = {"epoch": record.epoch, "epochs": record.epochs, "loss": record.loss, "best_metric": record.best_metric}
    say(phase="training", progress=0.9 * min(1.0, done / record.epochs), **told)


def _say(**what: Any) -> None:
    print(json.dumps(plain(what)), flush=True)


def main() -> int:
    """The process: one line in, lines out; 0 where the job is done, 2 where it failed and the last line says why."""
    task = json.loads(sys.stdin.buffer.readline())
    os.nice(task["nice"])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(task["threads"])
    try:
        with open_store(task["store"], migrate=False) as store:
            registry = Registry(store, task["models"], limits=GateSettings.parse(task["limits"]))
            do = describing.work if task["kind"] == DESCRIBE else work
            _say(result=do(registry, task["job_id"], task["detail"], Path(task["folder"]), _say, task["threads"]))
    except Exception as error:
        text = str(error) if isinstance(error, TastemakerError) else f"{type(error).__name__}: {error}"
        _say(error=text[:4000])
        return 2
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1 << 16):  # not sys.stdin: Python aborts when it ends while a thread holds that
        pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main())
