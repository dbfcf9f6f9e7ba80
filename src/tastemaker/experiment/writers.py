"""Writers: where the records of a run go besides the screen. JSON lines always; TensorBoard, MLflow and W&B when asked for."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tastemaker.errors import ConfigError, MissingExtraError


@runtime_checkable
class Writer(Protocol):
    """Takes the figures of each epoch, and at the end those of the whole run."""

    def record(self, epoch: int, values: Mapping[str, float]) -> None:
        """Figures of one epoch."""

    def finish(self, summary: Mapping[str, float]) -> None:
        """Figures of the run; nothing is written after."""


class JsonLines:
    """`records.jsonl`: an object per epoch. A resumed run replaces the lines of epochs it goes through again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fresh = True

    def record(self, epoch: int, values: Mapping[str, float]) -> None:
        line = json.dumps({"epoch": epoch, **values}) + "\n"
        if self._fresh:
            kept = [json.dumps(old) + "\n" for old in read_records(self.path) if old["epoch"] < epoch]
            self.path.write_text("".join(kept))
            self._fresh = False
        with self.path.open("a") as file:
            file.write(line)

    def finish(self, summary: Mapping[str, float]) -> None:
        """The summary is in `report.json`."""


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a run; a last line cut by a kill is left out."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


class TensorBoard:
    """Scalars for TensorBoard in the run's folder `tensorboard/`."""

    def __init__(self, run_id: str, folder: Path, config: Mapping[str, Any]) -> None:
        _need("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))
        self._writer.add_text("config", f"run {run_id}\n\n```json\n{json.dumps(config, indent=2, default=str)}\n```")

    def record(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def finish(self, summary: Mapping[str, float]) -> None:
        for name, value in summary.items():
            self._writer.add_scalar(name, value)
        self._writer.close()


class MLflow:
    """A run in MLflow: at `$MLFLOW_TRACKING_URI`, else in the files of `mlruns/` beside the runs."""

    def __init__(self, run_id: str, folder: Path, config: Mapping[str, Any]) -> None:
        mlflow = _need("mlflow")
        address = os.environ.get("MLFLOW_TRACKING_URI")
        if not address:
            # MLflow asks for this consent since it prefers databases; files need no server and no driver.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            address = (folder.parent / "mlruns").resolve().as_uri()
        self._client = mlflow.MlflowClient(tracking_uri=address)
        experiment = self._client.get_experiment_by_name("tastemaker")
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment("tastemaker")
        self._run = self._client.create_run(experiment_id, run_name=run_id).info.run_id
        for name, value in _flat(config).items():
            self._client.log_param(self._run, name, str(value)[:500])

    def record(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, _plain(name), value, step=epoch)

    def finish(self, summary: Mapping[str, float]) -> None:
        for name, value in summary.items():
            self._client.log_metric(self._run, _plain(name), value)
        self._client.set_terminated(self._run)


class WandB:
    """A run in Weights & Biases; `WANDB_MODE=offline` keeps it in the run's folder."""

    def __init__(self, run_id: str, folder: Path, config: Mapping[str, Any]) -> None:
        wandb = _need("wandb")
        settings = wandb.Settings(silent=True, console="off")
        self._run = wandb.init(
            project="tastemaker",
            name=run_id,
            id=run_id,
            resume="allow",
            dir=str(folder),
            config=dict(config),
            settings=settings,
        )

    def record(self, epoch: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=epoch)

    def finish(self, summary: Mapping[str, float]) -> None:
        self._run.summary.update(dict(summary))
        self._run.finish()


_WRITERS: dict[str, Callable[[str, Path, Mapping[str, Any]], Writer]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WandB,
}
WRITER_NAMES = tuple(_WRITERS)


def open_writers(names: Iterable[str], run_id: str, folder: Path, config: Mapping[str, Any]) -> list[Writer]:
    """The JSON lines writer and those named.

    Raises:
        ConfigError: an unknown name.
        MissingExtraError: the writer's package is not installed.
    """
    writers: list[Writer] = [JsonLines(folder / "records.jsonl")]
    for name in names:
        if name not in _WRITERS:
            raise ConfigError(f"writer {name!r}", expected=f"one of {', '.join(_WRITERS)}")
        writers.append(_WRITERS[name](run_id, folder, config))
    return writers


def _need(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        raise MissingExtraError(package, "tracking", "this writer") from None


def _plain(name: str) -> str:
    return name.replace("@", "_at_")  # MLflow refuses @ in names


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
