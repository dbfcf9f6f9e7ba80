"""A run that trains a two-stage recommender: sources, rows of what they find, a ranker over them, and a report of what each stage gives.

The folder is that of any run (`experiment.run`). Sources learn from the training side; requests, and so the ranker's rows, come from
the validation side, which is later: a source's opinion of what it learned by heart would teach the ranker to believe it.
"""

from __future__ import annotations

import json
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tastemaker import __version__
from tastemaker.data.dataset import Dataset
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.moments import Asked, Moments
from tastemaker.data.features.popularity import Tally
from tastemaker.data.interactions import Interactions
from tastemaker.data.quality import describe
from tastemaker.data.requests import Requests, kinds_as_values
from tastemaker.data.schema import RowSchema
from tastemaker.data.splits import Questions
from tastemaker.errors import DataError
from tastemaker.evaluate import metrics
from tastemaker.evaluate.report import Report
from tastemaker.evaluate.significance import compare
from tastemaker.experiment import snapshot
from tastemaker.experiment.folder import CHECKPOINT, CONFIG, peak_memory_mb, placed, state_of, write_whole
from tastemaker.experiment.judge import Judge
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import ARTIFACT, MODEL, REPORT, REPORTS, RunResult, plain
from tastemaker.experiment.run import load_parts
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.experiment.stage_rows import Rows, hits, made_requests, made_rows, of_kind, parted, pools, way
from tastemaker.experiment.stage_sources import fitted
from tastemaker.log import logger
from tastemaker.rankers.base import Ranker
from tastemaker.recommend import artifact
from tastemaker.recommend.objective import Objective
from tastemaker.recommend.predictor import Predictor
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.sources import batches
from tastemaker.recommend.stages import Stages, best_of
from tastemaker.resolve import ranker_class
from tastemaker.store.base import Store
from tastemaker.train.loop import Record
from tastemaker.train.row_losses import GROUPED
from tastemaker.train.rows import RowLoader, train_rows

OnRecord = Callable[[Record], None]
_DATA = "data"
_FIT_ROWS = 200_000
"""Rows from which fields are learned: a seeded sample where there are more."""
_CHOOSING = 2_000
"""Requests that choose the ranker's epoch at most."""


def stage_run(
    config: StageConfig,
    out: Path | str | None = None,
    *,
    store: Store | None = None,
    resume: bool = False,
    on_record: OnRecord | None = None,
    ledger: Ledger | None = None,
) -> RunResult:
    """Trains, judges and saves the two-stage recommender that a config describes; arguments as those of `train_run`.

    Raises:
        ConfigError: `out` holds something else, or a run of another config; a setting does not fit the data.
        DataError: there is no validation side to make requests of, or nothing comes of them.
    """
    ledger = ledger or Ledger()
    place = placed(config, Path(out) if out else None, resume, ledger)
    if place.finished:
        logger.info("run %s is finished already", place.run.id)
        return RunResult.read(place.folder)
    with place.working(config, ledger):
        config, source, resuming = snapshot.learned_from(config, store, place.folder / _DATA, place.resuming)
        result, place.figures = _run(config, place.folder, place.run.id, resuming, on_record, source)
    return result


def _run(
    config: StageConfig, folder: Path, run: str, resuming: bool, on_record: OnRecord | None, source: dict[str, Any]
) -> tuple[RunResult, dict[str, Any]]:
    began = time.perf_counter()
    dataset, parts, imported = load_parts(config)
    quality = describe(dataset, parts)
    judge = Judge(dataset, parts, config.evaluate, ratings=False)
    if not judge.can_choose:
        raise DataError(
            "no validation side", expected="one: the ranker's rows are made of it", hint="let [split] keep validation rows"
        )
    found = [
        fitted(name, one, judge, folder, resume=resuming, on_record=on_record, seed=config.train.seed)
        for name, one in config.sources.items()
    ]
    requests = made_requests(config.rows, dataset, parts, config.train.seed)
    moments = _moments(config, dataset, parts.before("test"))
    blank = Stages(tuple(one.source for one in found), moments, None, 0)
    learn, choose = parted(requests, config.rows.validation_share, config.train.seed)
    logger.info("requests: %s to learn from, %s to choose by", f"{len(learn):,}", f"{len(choose):,}")
    kinds = dataset.interactions.kinds
    rows = made_rows(blank, learn, config, kinds)
    encoder = FeatureEncoder.fit(moments.table(_some(rows.asked, config.train.seed)), moments.settled(config.features))
    for note in encoder.notes:
        logger.info("field %s", note)
    chosen = config.train.adapted(ranker_class(config.ranker_name), len(rows.labels), classes=False)
    config = replace(config, features=encoder.config, train=chosen)
    write_whole(folder / CONFIG, config.to_toml())

    ranker, epochs, seconds = _fitted(config, blank, encoder, rows, choose, judge, folder, resuming, on_record)
    predictor = Predictor(ranker, encoder, calibration=config.train.calibrate, objectives=config.objectives)
    held = made_rows(blank, choose, config, kinds)
    predictor.calibrate(predictor.logits(moments.features(held.asked, encoder)), held.labels, held.weights)
    if config.rows.refit:
        logger.info("sources learn again from train + validation")
        again = tuple(one.again(judge, resume=resuming, on_record=on_record) for one in found)
        blank = replace(blank, sources=again)
    stages = replace(blank, predictor=predictor, as_of=int(parts.before("test").time.max(initial=0)) + 1)
    told = {
        **source,
        "requests": {"learn": len(learn), "choose": len(choose), "at": way(config.rows, parts, dataset.users.size)},
        "rows": {
            "learn": len(rows.labels),
            "positives": dict(zip(config.rows.outputs, rows.labels.sum(axis=0).astype(int).tolist(), strict=True)),
        },
        "fields": [vars(field) for field in encoder.schema],
    }
    return _judged(
        config, folder, run, judge, stages, quality.to_dict() | {"import": imported.to_dict()}, told, epochs, seconds, began
    )


def _some(asked: Asked, seed: int) -> Asked:
    if len(asked) <= _FIT_ROWS:
        return asked
    return asked.take(np.sort(np.random.default_rng(seed).choice(len(asked), _FIT_ROWS, replace=False)))


def _moments(config: StageConfig, dataset: Dataset, known: Interactions) -> Moments:
    return Moments(
        config.moments,
        dataset.items,
        dataset.catalogue,
        dataset.users,
        dataset.profiles,
        Tally.of(known, config.moments.popularity),
        tuple(config.sources),
    )


# the second stage
def _fitted(
    config: StageConfig,
    stages: Stages,
    encoder: FeatureEncoder,
    rows: Rows,
    choose: Requests,
    judge: Judge,
    folder: Path,
    resuming: bool,
    on_record: OnRecord | None,
) -> tuple[Ranker, int, float]:
    """The ranker with the weights of its best epoch, by the lists of the requests to choose by."""
    schema = RowSchema(encoder.schema, config.rows.outputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        ranker: Ranker = ranker_class(config.ranker_name)(config.ranker, schema)
    loader = RowLoader(
        stages.moments.features(rows.asked, encoder),
        rows.labels,
        rows.weights,
        rows.asked.owner,
        together=config.train.loss in GROUPED,
    )
    some = choose.take(np.arange(min(len(choose), _CHOOSING)))
    held = [
        (
            pool,
            stages.moments.features(stages.asked(some.users[at], some.histories.take(at), some.at[at], pool), encoder),
            some.truth.take(at),
        )
        for at, pool in pools(stages, some, config.evaluate.filter_seen)
    ]
    name = judge.metric
    _, k = metrics.parse(name)

    def value(ranker: Ranker) -> float:
        asked, values = replace(stages, predictor=Predictor(ranker, encoder, objectives=config.objectives)), []
        for pool, features, truth in held:
            lists, _ = best_of(pool, asked.worth(asked.said(features)), len(truth), k or 1)
            found, relevant = metrics.hits_of(lists, truth)
            values.append(metrics.per_user([name], found, relevant)[name])
        return float(np.concatenate(values).mean())

    logger.info(
        "ranker %s: %s rows, %s of them chosen", config.ranker_name, f"{len(rows.labels):,}", f"{int(rows.labels.sum()):,}"
    )
    for record in train_rows(ranker, loader, config.train, validate=value, checkpoint=folder / CHECKPOINT, resume=resuming):
        if on_record:
            on_record(record)
    state = state_of(folder / CHECKPOINT)
    return ranker.cpu(), state["best_epoch"] or state["epoch"], state["seconds"]


# the report
def _judged(
    config: StageConfig,
    folder: Path,
    run: str,
    judge: Judge,
    stages: Stages,
    data: dict[str, Any],
    told: dict[str, Any],
    epochs: int,
    seconds: float,
    began: float,
) -> tuple[RunResult, dict[str, Any]]:
    """Each source alone, all of them together without the ranker, and both stages, on the test side."""
    logger.info("judging on the test side")
    learned = judge.split.refit if config.rows.refit else judge.split.train
    tests: dict[str, Report] = {MODEL: judge.report(stages, "test", learned)}
    for source in stages.sources:
        tests[source.name] = judge.report(source.model, "test", learned)
    if len(stages.sources) > 1:
        tests["merged"] = judge.report(replace(stages, predictor=None), "test", learned)
    for name, one in tests.items():
        one.save(folder / REPORTS, name)
    named = {("two_stage" if name == MODEL else name): one for name, one in tests.items()}
    questions = judge.questions("test")
    report = plain(
        {
            "run": run,
            "kind": "two_stage",
            "model": config.model_name,
            "settings": config.to_dict()["ranker"],
            "data": data | {"fingerprint": judge.dataset.fingerprint} | told,
            "protocol": {
                "split": config.to_dict()["split"],
                "evaluate": config.to_dict()["evaluate"],
                "cut": judge.split.cut,
                "chosen_by": judge.metric,
                "train_rows": len(judge.split.train),
                "test_users": len(questions),
                "items_ranked": len(judge.dataset.items),
                "ranked_among": None,
            },
            "test": tests[MODEL].to_dict(),
            "validation": None,
            "retrieval": _retrieval(stages, judge, questions),
            "tradeoffs": _tradeoffs(stages, judge, questions) if len(config.rows.outputs) > 1 else None,
            "baselines": {
                name: {"settings": _settings(name, stages), "tried": 1, "validation": None, "test": one.to_dict()}
                for name, one in tests.items()
                if name != MODEL
            },
            "comparison": compare(named).to_dict(),
            "notes": _notes(config),
            "epochs": epochs,
            "train_seconds": round(time.perf_counter() - began, 3),
            "ranker_seconds": round(seconds, 3),
            "peak_memory_mb": round(peak_memory_mb(), 1),
            "versions": {"tastemaker": __version__, "python": platform.python_version(), "torch": torch.__version__},
            "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        }
    )
    recommender = Recommender.of(stages.sources[0].model, judge.dataset, stages=stages)
    artifact.save(
        recommender, folder / ARTIFACT, metrics={"test": tests[MODEL].metrics}, config=config.to_dict(), seed=config.train.seed
    )
    write_whole(folder / REPORT, json.dumps(report, indent=2, allow_nan=False) + "\n")
    for left in (*folder.glob("source-*.safetensors"), folder / CHECKPOINT):
        left.unlink(missing_ok=True)
    shutil.rmtree(folder / _DATA, ignore_errors=True)
    figures = {"validation": {}, "test": tests[MODEL].metrics, "epochs": epochs, "train_seconds": report["train_seconds"]}
    return RunResult(folder, report), figures


def _notes(config: StageConfig) -> list[str]:
    how = "learned again from train + validation, with the settings and epochs chosen before"
    return [f"the sources {how}: so did those that stand beside both stages"] if config.rows.refit else []


def _settings(name: str, stages: Stages) -> dict[str, Any]:
    """What a source was made with, where it is not the default; nothing for all of them together."""
    found = next((source.model.config for source in stages.sources if source.name == name), None)
    return {} if found is None else found.model_dump(mode="json", exclude_defaults=True)


def _tradeoffs(stages: Stages, judge: Judge, questions: Questions) -> dict[str, dict[str, float]]:
    """What each objective gives each label, on the test side: the validation metric of its lists, asked for what is of that kind alone.

    Besides the objectives that were named there is one of each label alone, which shows the most that there is to have.
    """
    assert stages.predictor is not None
    labels, (_, k) = stages.predictor.outputs, metrics.parse(judge.metric)
    alone = {f"only {name}": Objective.parse({"weights": {name: 1.0}}) for name in labels}
    every = {**stages.predictor.objectives, **alone}
    truths = kinds_as_values(judge.split.test).histories(judge.dataset.users.size).take(questions.users)
    found: dict[str, dict[str, list[np.ndarray]]] = {name: {label: [] for label in labels} for name in every}
    for rows in batches(questions.histories.lengths, stages.sources[0].scoring.size):
        users, past = questions.asked_as[rows], questions.histories.take(rows)
        pool = stages.pool(users, past, exclude=questions.seen.take(rows) if judge.config.filter_seen else None)
        asked = stages.asked(users, past, questions.asked_at[rows], pool)
        said = stages.said(stages.moments.features(asked, stages.predictor.encoder, share=True))
        for name, objective in every.items():
            lists, _ = best_of(pool, objective.score(said, labels), len(rows), k or 1)
            for label in labels:
                truth = of_kind(truths.take(rows), judge.dataset.interactions.kinds, label)
                some = np.flatnonzero(truth.lengths)
                right, relevant = metrics.hits_of(lists[some], truth.take(some))
                found[name][label].append(metrics.per_user([judge.metric], right, relevant)[judge.metric])
    return {
        name: {label: float(np.concatenate(parts).mean()) if sum(map(len, parts)) else 0.0 for label, parts in of.items()}
        for name, of in found.items()
    }


def _retrieval(stages: Stages, judge: Judge, questions: Questions) -> dict[str, Any]:
    """What share of what users chose each source finds, and all together: the most a ranker can get right."""
    size = stages.sources[0].scoring.size
    found = {name: np.zeros(len(questions)) for name in (*(source.name for source in stages.sources), "pool")}
    candidates = 0
    for rows in batches(questions.histories.lengths, size):
        truth, past = questions.truth.take(rows), questions.histories.take(rows)
        seen = questions.seen.take(rows) if judge.config.filter_seen else None
        pool = stages.pool(questions.asked_as[rows], past, exclude=seen)
        right = hits(pool, truth, size)
        candidates += len(pool)
        relevant = np.array([len(np.unique(truth.row(row))) for row in range(len(rows))])
        for place, source in enumerate(stages.sources):
            own = right & (pool.found >> place & 1 == 1)
            found[source.name][rows] = np.bincount(pool.owner[own], minlength=len(rows)) / relevant
        found["pool"][rows] = np.bincount(pool.owner[right], minlength=len(rows)) / relevant
    return {
        "recall": {name: float(values.mean()) for name, values in found.items()},
        "depth": {source.name: source.depth for source in stages.sources},
        "candidates": candidates / max(1, len(questions)),
    }
