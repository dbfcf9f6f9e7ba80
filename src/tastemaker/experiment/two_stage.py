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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tastemaker import __version__
from tastemaker.data.dataset import Dataset
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.features.moments import Asked, Moments
from tastemaker.data.features.popularity import Tally
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.quality import describe
from tastemaker.data.requests import Requests, RequestsConfig, at_cuts, at_events
from tastemaker.data.schema import RowSchema
from tastemaker.data.splits import VALIDATION, Questions, Split
from tastemaker.errors import DataError
from tastemaker.evaluate import metrics
from tastemaker.evaluate.report import Report
from tastemaker.evaluate.significance import compare
from tastemaker.experiment import baselines, fit, snapshot
from tastemaker.experiment.folder import CHECKPOINT, CONFIG, peak_memory_mb, placed, state_of, write_whole
from tastemaker.experiment.judge import Judge
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import ARTIFACT, MODEL, REPORT, REPORTS, RunResult, plain
from tastemaker.experiment.run import load_parts
from tastemaker.experiment.stage_config import SourceConfig, StageConfig
from tastemaker.log import logger
from tastemaker.rankers.base import Ranker
from tastemaker.recommend import artifact
from tastemaker.recommend.predictor import Predictor
from tastemaker.recommend.recommender import Recommender
from tastemaker.recommend.scoring import Scoring
from tastemaker.recommend.sources import Pool, Source, batches
from tastemaker.recommend.stages import Stages, best_of
from tastemaker.resolve import model_class, ranker_class
from tastemaker.store.base import Store
from tastemaker.train.config import TrainConfig
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
        source: dict[str, Any] = {}
        resuming = place.resuming
        if store is not None:
            data = snapshot.taken(config, store, place.folder / _DATA)
            config, source = data.config, {"store_sequence": data.sequence}
            resuming = resuming and not data.fresh  # a checkpoint goes with its data
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
    sources = tuple(
        _source(name, one, judge, folder, resuming, on_record, config.train.seed) for name, one in config.sources.items()
    )
    requests = _requests(config.rows, dataset, parts, config.train.seed)
    moments = _moments(config, dataset, parts.before("test"))
    blank = Stages(sources, moments, None, 0)
    learn, choose = _parted(requests, config.rows.validation_share, config.train.seed)
    logger.info("requests: %s to learn from, %s to choose by", f"{len(learn):,}", f"{len(choose):,}")
    rows = _rows(blank, learn, config, judge)
    encoder = FeatureEncoder.fit(moments.table(_some(rows.asked, config.train.seed)), moments.settled(config.features))
    for note in encoder.notes:
        logger.info("field %s", note)
    chosen = config.train.adapted(ranker_class(config.ranker_name), len(rows.labels), classes=False)
    config = replace(config, features=encoder.config, train=chosen)
    write_whole(folder / CONFIG, config.to_toml())

    ranker, epochs, seconds = _fitted(config, blank, encoder, rows, choose, judge, folder, resuming, on_record)
    predictor = Predictor(ranker, encoder, calibration=config.train.calibrate)
    held = _rows(blank, choose, config, judge)
    predictor.calibrate(predictor.logits(moments.features(held.asked, encoder)), held.labels, held.weights)
    stages = replace(blank, predictor=predictor, as_of=int(parts.before("test").time.max(initial=0)) + 1)
    told = {
        **source,
        "requests": {"learn": len(learn), "choose": len(choose), "at": _way(config.rows, parts, dataset.users.size)},
        "rows": {"learn": len(rows.labels), "positives": int(rows.labels.sum())},
        "fields": [vars(field) for field in encoder.schema],
    }
    return _judged(
        config, folder, run, judge, stages, quality.to_dict() | {"import": imported.to_dict()}, told, epochs, seconds, began
    )


# the first stage
def _source(
    name: str,
    config: SourceConfig,
    judge: Judge,
    folder: Path,
    resuming: bool,
    on_record: OnRecord | None,
    seed: int,
) -> Source:
    """A retrieval model fitted to the training side; validation chooses its epoch, or its settings where it has a grid and none are given."""
    kind, train = config.model or name, judge.split.train
    if not config.settings and kind in baselines.GRIDS:
        logger.info("source %s", name)
        return Source(name, Scoring(baselines.tune(kind, judge.dataset, train, judge.chooser()).model), config.depth)
    own = TrainConfig.parse({"seed": seed} | config.train, f"sources.{name}.train")
    settings = fit.adapted(kind, model_class(kind).Config.parse(config.settings, f"sources.{name}.settings"), train, own.loss)
    model = fit.build(kind, settings, judge.dataset.schema, own.seed)
    logger.info("source %s", name)
    for record in fit.fit(
        model,
        train,
        fit.chosen(model, train, own),
        validate=judge.chooser(),
        checkpoint=folder / f"source-{name}.safetensors",
        resume=resuming,
    ):
        if on_record:
            on_record(record)
    return Source(name, Scoring(model.cpu()), config.depth)


# requests and rows
@dataclass(frozen=True, eq=False)
class _Rows:
    asked: Asked
    labels: np.ndarray
    """float32 (rows, 1)"""
    weights: np.ndarray
    """float32 (rows,)"""


def _way(config: RequestsConfig, parts: Split, num_users: int) -> str:
    """How the test side asks: at one moment for all, or just before an event of each."""
    if config.at is not None:
        return config.at
    return "cuts" if parts.questions("test", num_users).together else "events"


def _requests(config: RequestsConfig, dataset: Dataset, parts: Split, seed: int) -> Requests:
    """Requests made of the validation side, as the test side will ask."""
    known, num_users = parts.before("test"), dataset.users.size
    if not known.has_times:
        raise DataError("events without times", expected="times: rows are what was known at a moment", hint="see data.columns")
    way = _way(config, parts, num_users)
    if config.horizon is None and way == "events":
        config = config.model_copy(update={"horizon": 1})
    asked = (parts.label == VALIDATION)[parts.known("test")]
    if way == "cuts":
        found = at_cuts(known, known.take(asked), num_users, config)
    else:
        found = at_events(known, asked, num_users, config, seed)
    learned = np.zeros(num_users, bool)
    learned[parts.train.user] = True
    return replace(found, users=np.where(learned[found.users], found.users, np.int32(1)).astype(np.int32))


def _parted(requests: Requests, share: float, seed: int) -> tuple[Requests, Requests]:
    """Requests to learn from and to choose by; no user has requests in both. Whoever has no code is a user of its own."""
    draw = np.random.default_rng(seed)
    of_user = draw.random(int(requests.users.max(initial=1)) + 1) < share
    held = np.where(requests.users > 1, of_user[requests.users], draw.random(len(requests)) < share)
    if not held.any() or held.all():
        raise DataError(f"{len(requests)} requests", expected="enough to learn from some and choose by others")
    return requests.take(~held), requests.take(held)


def _pools(stages: Stages, requests: Requests, filter_seen: bool) -> list[tuple[np.ndarray, Pool]]:
    found = []
    for rows in batches(requests.histories.lengths, stages.sources[0].scoring.size):
        past = requests.histories.take(rows)
        found.append((rows, stages.pool(requests.users[rows], past, exclude=past if filter_seen else None)))
    return found


def _rows(stages: Stages, requests: Requests, config: StageConfig, judge: Judge) -> _Rows:
    """All candidates that something came of, and for each request some of the others, which weigh as many as they stand for."""
    draw = np.random.default_rng(config.train.seed)
    parts, labels, weights = [], [], []
    for rows, pool in _pools(stages, requests, config.evaluate.filter_seen):
        label = _hits(pool, requests.truth.take(rows), stages.sources[0].scoring.size)
        order = np.lexsort((draw.random(len(pool)), label, pool.owner))  # a request's others first, in a random order
        others = np.bincount(pool.owner[~label], minlength=len(rows))
        begins = np.searchsorted(pool.owner[order], np.arange(len(rows)))
        nth = np.arange(len(order)) - begins[pool.owner[order]]
        kept = np.sort(order[(nth < config.rows.negatives) | label[order]])
        drawn = np.minimum(others, config.rows.negatives)
        weight = np.where(label, 1.0, (others / np.maximum(drawn, 1))[pool.owner])[kept]
        some = Pool(pool.items[kept], pool.owner[kept], pool.found[kept])
        parts.append(stages.asked(requests.users[rows], requests.histories.take(rows), requests.at[rows], some))
        labels.append(label[kept])
        weights.append(weight)
    found = np.concatenate(labels)
    if not found.any():
        raise DataError(
            "nothing that the sources find is chosen by anybody",
            expected="some candidates that were",
            hint="raise sources.NAME.depth",
        )
    return _Rows(Asked.joined(parts), found.astype(np.float32)[:, None], np.concatenate(weights).astype(np.float32))


def _hits(pool: Pool, truth: Histories, size: int) -> np.ndarray:
    """Whether each candidate is among what came of its request: bool (rows,)."""
    chosen = np.repeat(np.arange(len(truth)), truth.lengths) * np.int64(size) + truth.items
    return np.isin(pool.owner * np.int64(size) + pool.items, chosen)


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
    rows: _Rows,
    choose: Requests,
    judge: Judge,
    folder: Path,
    resuming: bool,
    on_record: OnRecord | None,
) -> tuple[Ranker, int, float]:
    """The ranker with the weights of its best epoch, by the lists of the requests to choose by."""
    schema = RowSchema(encoder.schema, ("chosen",))
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
        for at, pool in _pools(stages, some, config.evaluate.filter_seen)
    ]
    name = judge.metric
    _, k = metrics.parse(name)

    def value(ranker: Ranker) -> float:
        said, values = Predictor(ranker, encoder), []
        for pool, features, truth in held:
            lists, _ = best_of(pool, said.logits(features)[:, 0], len(truth), k or 1)
            hits, relevant = metrics.hits_of(lists, truth)
            values.append(metrics.per_user([name], hits, relevant)[name])
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
    learned = judge.split.train
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
            "baselines": {
                name: {"settings": _settings(name, stages), "tried": 1, "validation": None, "test": one.to_dict()}
                for name, one in tests.items()
                if name != MODEL
            },
            "comparison": compare(named).to_dict(),
            "notes": [],
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


def _settings(name: str, stages: Stages) -> dict[str, Any]:
    """What a source was made with, where it is not the default; nothing for all of them together."""
    found = next((source.model.config for source in stages.sources if source.name == name), None)
    return {} if found is None else found.model_dump(mode="json", exclude_defaults=True)


def _retrieval(stages: Stages, judge: Judge, questions: Questions) -> dict[str, Any]:
    """What share of what users chose each source finds, and all together: the most a ranker can get right."""
    size = stages.sources[0].scoring.size
    found = {name: np.zeros(len(questions)) for name in (*(source.name for source in stages.sources), "pool")}
    candidates = 0
    for rows in batches(questions.histories.lengths, size):
        truth, past = questions.truth.take(rows), questions.histories.take(rows)
        seen = questions.seen.take(rows) if judge.config.filter_seen else None
        pool = stages.pool(questions.asked_as[rows], past, exclude=seen)
        hits = _hits(pool, truth, size)
        candidates += len(pool)
        relevant = np.array([len(np.unique(truth.row(row))) for row in range(len(rows))])
        for place, source in enumerate(stages.sources):
            own = hits & (pool.found >> place & 1 == 1)
            found[source.name][rows] = np.bincount(pool.owner[own], minlength=len(rows)) / relevant
        found["pool"][rows] = np.bincount(pool.owner[hits], minlength=len(rows)) / relevant
    return {
        "recall": {name: float(values.mean()) for name, values in found.items()},
        "depth": {source.name: source.depth for source in stages.sources},
        "candidates": candidates / max(1, len(questions)),
    }
