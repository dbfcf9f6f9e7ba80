"""A run: from a config to data, split, trained model, report and artifact, in one folder. The only module that sees every part.

```
<time>-<model>-<hash>/
  config.toml          the resolved config; training with it repeats the run
  run.json             the run's name and what it was started with
  data/                the store's events and items as they were when the run began; removed at the end
  records.jsonl        a record per epoch
  report.json          data, protocol, metrics with intervals, baselines, tests
  reports/             the test report of the model and of each baseline with each user's values, so that runs can be paired
  log.txt              what was printed
  checkpoint.safetensors, refit.safetensors    where training goes on after a kill; removed at the end
  artifact/            the saved recommender
```
"""

from __future__ import annotations

import json
import logging
import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from tastemaker import __version__
from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.data.item_contents import ContentConfig
from tastemaker.data.load import ImportReport, load_dataset
from tastemaker.data.negatives import with_negatives
from tastemaker.data.quality import describe
from tastemaker.data.splits import Split, split, tie_sensitive
from tastemaker.errors import ConfigError
from tastemaker.evaluate.report import Report
from tastemaker.evaluate.significance import compare
from tastemaker.experiment import baselines, contents, fit, snapshot, stacking, warm
from tastemaker.experiment.config import Config
from tastemaker.experiment.folder import CHECKPOINT, CONFIG, peak_memory_mb, placed, state_of, write_whole
from tastemaker.experiment.judge import Judge, recoded
from tastemaker.experiment.ledger import Ledger, Run
from tastemaker.experiment.result import ARTIFACT, MODEL, REPORT, REPORTS, RunResult, plain
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.experiment.writers import Writer, open_writers
from tastemaker.log import logger
from tastemaker.models.base import Model
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender
from tastemaker.store.base import Store
from tastemaker.train.loop import Record

OnRecord = Callable[[Record], None]
_DATA, _REFIT = "data", "refit.safetensors"
_LEVELS = {"error": logging.WARNING, "warning": logging.WARNING, "note": logging.INFO}


@dataclass(frozen=True, eq=False)
class Prepared:
    """What whoever asks for a run did already with its very config, so that the run need not do it again."""

    dataset: Dataset
    split: Split
    imported: ImportReport
    model: Model
    """fitted on the training side"""
    epochs: int | None
    """after how many it was best; None for models that are solved"""
    seconds: float
    """of training"""
    rivals: Mapping[str, baselines.Baseline]
    """baselines that were tuned already, by name"""
    told: Mapping[str, Any]
    """more sections for the report"""
    notes: Sequence[str] = ()


def train_run(
    config: Config,
    out: Path | str | None = None,
    *,
    store: Store | None = None,
    resume: bool = False,
    prepared: Prepared | None = None,
    on_record: OnRecord | None = None,
    ledger: Ledger | None = None,
) -> RunResult:
    """Trains, judges and saves what a config describes.

    Args:
        config: the resolved config.
        out: the run's folder, new or empty; default: a fresh one in `runs_folder()`.
        store: learn from its events and items instead of `[data]` events, items and users.
        resume: go on with the unfinished run in `out`, or the newest unfinished one of this config. A finished run in `out` is
            returned as it is; where there is nothing to go on with, a fresh run starts.
        prepared: what is done already.
        on_record: called with each training record.
        ledger: default: the one in `runs_folder()`.

    Raises:
        ConfigError: `out` holds something else, or a run of another config.
        TastemakerError: what any of the parts raises; the ledger then says why the run failed.
    """
    ledger = ledger or Ledger()
    place = placed(config, Path(out) if out else None, resume, ledger)
    if place.finished:
        logger.info("run %s is finished already", place.run.id)
        return RunResult.read(place.folder)
    with place.working(config, ledger):
        config, source, resuming = snapshot.learned_from(config, store, place.folder / _DATA, place.resuming)
        result, place.figures = _run(config, place.folder, place.run, resuming, on_record, source, prepared)
    return result


def load_parts(config: Config | StageConfig) -> tuple[Dataset, Split, ImportReport]:
    """The data of a config, split as it says, and an account of what was read."""
    given = {side: source for side in ("train", "validation", "test") if (source := getattr(config.split, side)) is not None}
    dataset, imported = load_dataset(config.data, config.base, given or None)
    parts = split(dataset, config.split)
    if config.split.negatives is not None:
        parts = with_negatives(parts, dataset, config.split.negatives, config.data, config.base)
    dataset = contents.with_contents(dataset, config.content, parts.train, config.base)
    logger.info("data: %s", _counted(dataset, parts))
    return dataset, parts, imported


def evaluate_artifact(folder: Path | str, config: Config | StageConfig) -> dict[str, Any]:
    """Judges a saved model on the test side of a config's data and split: `{"model", "ranked_among", "test"}`, as in a run's report.

    Users and items are matched by id: users new to the model are asked with their history, items new to it cannot be hit.

    Raises:
        ArtifactError: no sound artifact.
        DataError: the data cannot be read or split.
    """
    manifest, recommender = artifact.read_manifest(folder), artifact.load(folder)
    # the model has its contents with it
    config = replace(config, content=ContentConfig.parse({}))
    dataset, parts, _ = load_parts(config)
    dataset, parts = recoded(dataset, parts, recommender.users, recommender.items)
    ratings = recommender.model.predicts_values(manifest.config.get("train", {}).get("loss"))
    judge = Judge(dataset, parts, config.evaluate, ratings)
    test = plain(judge.report(recommender.stages or recommender.model, "test", parts.train).to_dict())
    return {
        "model": "two_stage" if recommender.stages else manifest.model.name,
        "ranked_among": judge.ranked_among,
        "test": test,
    }


def _run(
    config: Config,
    folder: Path,
    run: Run,
    resuming: bool,
    on_record: OnRecord | None,
    source: dict[str, Any],
    prepared: Prepared | None,
) -> tuple[RunResult, dict[str, Any]]:
    dataset, parts, imported = (
        (prepared.dataset, prepared.split, prepared.imported) if prepared is not None else load_parts(config)
    )
    quality = describe(dataset, parts)
    for problem in quality.problems:
        logger.log(_LEVELS[problem.severity], "%s: %s", problem.message, problem.remedy)
    config = replace(config, model=fit.adapted(config.model_name, config.model, parts.train, config.train.loss))
    model, begun = _first(config, dataset)
    if prepared is None:
        contents.check_use(model, config.model_name, config.content)
    config = replace(config, train=fit.chosen(model, parts.train, config.train))
    judge = Judge(dataset, parts, config.evaluate, ratings=model.predicts_values(config.train.loss))
    (folder / CONFIG).write_text(config.to_toml(), encoding="utf-8")
    writers = open_writers(config.run.writers, run.id, folder, config.to_dict())

    trained = _train(config, model, judge, folder, resuming, prepared, writers, on_record)
    logger.info("judging on the test side")
    test = judge.report(trained.model, "test", trained.learned)
    rivals, notes = _baselines(config, judge, trained.refitted, prepared.rivals if prepared is not None else {})
    tests = {MODEL: test} | {name: rival.test for name, rival in rivals.items()}
    for name, one in tests.items():
        one.save(folder / REPORTS, name)
    named = {config.model_name if name == MODEL else f"{name} (baseline)": one for name, one in tests.items()}
    report = plain(
        {
            "run": run.id,
            "model": config.model_name,
            "settings": config.to_dict()["model"],
            "data": quality.to_dict() | {"import": imported.to_dict(), "fingerprint": dataset.fingerprint} | source,
            "protocol": _protocol(config, judge, parts),
            "test": test.to_dict(),
            "validation": trained.validation.to_dict() if trained.validation else None,
            "baselines": {name: rival.to_dict() for name, rival in rivals.items()},
            "comparison": compare(named).to_dict() if rivals else None,
            "notes": begun + trained.notes + notes + _warned(judge),
            "epochs": trained.epochs,
            "train_seconds": round(trained.seconds, 3),
            "peak_memory_mb": round(peak_memory_mb(), 1),
            "versions": {"tastemaker": __version__, "python": platform.python_version(), "torch": torch.__version__},
            "machine": {
                "processor": platform.machine(),
                "threads": torch.get_num_threads(),
                "device": str(_device(trained.model)),
            },
            **(prepared.told if prepared is not None else {}),
        }
    )
    for note in report["notes"]:
        logger.info("note: %s", note)
    artifact.save(
        Recommender.of(trained.model.cpu(), dataset),
        folder / ARTIFACT,
        metrics={"test": test.metrics, "validation": trained.validation.metrics if trained.validation else {}},
        config=config.to_dict(),
        seed=config.train.seed,
    )
    write_whole(folder / REPORT, json.dumps(report, indent=2, allow_nan=False) + "\n")
    for name in (CHECKPOINT, _REFIT):
        for left in folder.glob(f"{Path(name).stem}*.safetensors"):  # a blend has one a part
            left.unlink()
    shutil.rmtree(folder / _DATA, ignore_errors=True)
    summary = {f"test/{name}": value for name, value in test.metrics.items()}
    for writer in writers:
        writer.finish(summary)
    validation = trained.validation.metrics if trained.validation else {}
    figures = {"validation": validation, "test": test.metrics, "epochs": trained.epochs, "train_seconds": trained.seconds}
    return RunResult(folder, report), figures


def _first(config: Config, dataset: Dataset) -> tuple[Model, list[str]]:
    """The model before training: fresh, or with the weights of an earlier one; and what is to be said of it."""
    model = fit.build(config.model_name, config.model, dataset.schema, config.train.seed)
    if config.run.start_from is None:
        return model, []
    return model, [warm.start_from(model, dataset, config.base / config.run.start_from, config.split.kind)]


@dataclass(frozen=True, eq=False)
class _Trained:
    model: Model
    learned: Interactions
    """what the model learned from in the end"""
    refitted: bool
    epochs: int | None
    seconds: float
    validation: Report | None
    notes: list[str]


def _train(
    config: Config,
    model: Model,
    judge: Judge,
    folder: Path,
    resuming: bool,
    prepared: Prepared | None,
    writers: list[Writer],
    on_record: OnRecord | None,
) -> _Trained:
    """Trains with the validation metric after each epoch; then, if asked, again on train + validation."""
    stacking.check(model, judge.can_choose)
    solved, notes, parts = fit.is_solved(model), [], judge.split
    choose = judge.chooser() if judge.can_choose else None
    if choose is None:
        notes.append("no validation side: nothing was chosen by it, the last weights were kept")
        if config.train.refit:
            raise ConfigError(
                "train.refit = true without a validation side", hint="remove train.refit, or let [split] keep validation rows"
            )
    if prepared is not None:
        model, epochs, seconds = prepared.model, prepared.epochs, prepared.seconds
        notes.extend(prepared.notes)
    else:
        began = time.perf_counter()
        for record in fit.fit(
            model,
            parts.train,
            config.train,
            dataset=judge.dataset,
            validate=choose,
            checkpoint=folder / CHECKPOINT,
            resume=resuming,
        ):
            _pass_on(record, judge, writers, on_record)
        stacking.learn(model, judge)
        seconds, epochs = time.perf_counter() - began, None
    notes.extend(stacking.notes(model))
    if not solved and prepared is None:
        state = state_of(folder / CHECKPOINT)
        epochs, seconds = state["best_epoch"] or state["epoch"], state["seconds"]
        if choose is not None:
            logger.info(
                "best %s %.4f after epoch %d of %d", judge.metric, judge.sign * state["best_metric"], epochs, state["epoch"]
            )
    validation = judge.report(model, "validation", parts.train) if choose else None
    if not config.train.refit:
        return _Trained(model, parts.train, False, epochs, seconds, validation, notes)

    again = "" if solved else f" for {epochs} epochs, as many as were best on validation"
    notes.append(f"the tested model was trained again on train + validation{again}")
    logger.info("training again on train + validation%s", again)
    earlier, (model, _), learned = model, _first(config, judge.dataset), parts.refit
    began = time.perf_counter()
    last = config.train if solved else config.train.model_copy(update={"epochs": epochs})
    for record in fit.fit(model, learned, last, dataset=judge.dataset, checkpoint=folder / _REFIT, resume=resuming):
        if on_record:
            on_record(record)
    stacking.pass_on(earlier, model)
    seconds += time.perf_counter() - began if solved else state_of(folder / _REFIT)["seconds"]
    return _Trained(model, learned, True, epochs, seconds, validation, notes)


def _pass_on(record: Record, judge: Judge, writers: list[Writer], on_record: OnRecord | None) -> None:
    if judge.sign < 0 and record.metric is not None and record.best_metric is not None:
        record = replace(record, metric=-record.metric, best_metric=-record.best_metric)  # errors read better as they are
    if record.complete:
        values = {
            "loss": record.loss,
            "targets_per_second": round(record.targets_per_second, 1),
            "seconds": round(record.seconds, 3),
        }
        if record.metric is not None:
            values |= {judge.metric: record.metric, "best_epoch": record.best_epoch}
        for writer in writers:
            writer.record(record.epoch, values)
    if on_record:
        on_record(record)


@dataclass(frozen=True, eq=False)
class _Rival:
    settings: dict[str, Any]
    tried: int
    validation: Report | None
    test: Report

    def to_dict(self) -> dict[str, Any]:
        validation = self.validation.to_dict() if self.validation else None
        return {"settings": self.settings, "tried": self.tried, "validation": validation, "test": self.test.to_dict()}


def _baselines(
    config: Config, judge: Judge, refitted: bool, known: Mapping[str, baselines.Baseline]
) -> tuple[dict[str, _Rival], list[str]]:
    """Each baseline tuned on validation and judged on the same questions; it learns from what the model learned from."""
    if judge.ratings:
        return {}, ["the model predicts values; the baselines rank items, so none is set beside it"]
    rivals, notes, parts = {}, [], judge.split
    choose = judge.chooser() if judge.can_choose else None
    for name in config.evaluate.baselines:
        if reason := baselines.reason_to_skip(name, judge.dataset):
            notes.append(reason)
            continue
        tuned = known.get(name) or baselines.tune(name, judge.dataset, parts.train, choose)
        validation = judge.report(tuned.model, "validation", parts.train) if choose else None
        learned = parts.refit if refitted else parts.train
        model = baselines.solved(name, tuned.settings, judge.dataset, learned) if refitted else tuned.model
        rivals[name] = _Rival(tuned.settings, tuned.tried, validation, judge.report(model, "test", learned))
    return rivals, notes


def _counted(dataset: Dataset, parts: Split) -> str:
    return (
        f"{len(dataset.users):,} users, {len(dataset.items):,} items, {len(dataset.interactions):,} interactions; "
        f"{len(parts.train):,} train, {len(parts.validation):,} validation, {len(parts.test):,} test"
    )


def _protocol(config: Config, judge: Judge, parts: Split) -> dict[str, Any]:
    num_users = judge.dataset.users.size
    return {
        "split": config.to_dict()["split"],
        "evaluate": config.to_dict()["evaluate"],
        "cut": parts.cut,
        "chosen_by": judge.metric if judge.can_choose else None,
        "train_rows": len(parts.train),
        "validation_users": len(parts.questions("validation", num_users)),
        "test_users": len(parts.questions("test", num_users)),
        "items_ranked": None if judge.ratings or parts.negatives else len(judge.dataset.items),
        "ranked_among": judge.ranked_among,
        "tie_sensitive_test_items": tie_sensitive(parts, "test"),
    }


def _warned(judge: Judge) -> list[str]:
    if judge.ranked_among is None:
        return []
    return [f"test items were ranked among {judge.ranked_among}: the figures compare with the papers of that protocol only"]


def _device(model: Model) -> torch.device:
    tensor = next(iter(model.parameters()), None)
    return torch.device("cpu") if tensor is None else tensor.device
