"""The same lists with a language model's order and without it, user by user, with what the order cost."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tastemaker.data.splits import Questions, Side
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate.significance import compare
from tastemaker.experiment.config import Config
from tastemaker.experiment.judge import Judge, recoded, some
from tastemaker.experiment.result import plain
from tastemaker.experiment.run import load_parts
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.log import logger
from tastemaker.recommend import artifact
from tastemaker.recommend.language import Language, LanguageSettings
from tastemaker.recommend.language.language import Ordered
from tastemaker.recommend.recommender import Recommender

_TRIED = 10
"""Users after whom a model that has answered nobody is given up."""


def compare_language(
    folder: Path | str,
    config: Config | StageConfig,
    settings: LanguageSettings,
    *,
    side: Side = "test",
    users: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Judges a saved model's lists on a side, as they are and with their best candidates in the order of a language model.

    Args:
        folder: the artifact.
        config: its data and split.
        settings: of the language model.
        side: "test", or "validation" to choose settings by.
        users: a seeded sample of so many; None: all.
        seed: of the sample.

    Returns:
        `without` and `with` (reports), `comparison` (paired) and `cost`: calls, tokens, price, seconds a list, and how many lists
        stayed as they were, and why.

    Raises:
        ArtifactError: no sound artifact.
        ConfigError: no language model in the settings, or one that cannot be used; a model that predicts values.
        DataError: the data cannot be read or split, there is no catalogue to tell items by, or the language model does not answer.
    """
    manifest, recommender = artifact.read_manifest(folder), artifact.load(folder)
    trained = manifest.config.get("train", {})
    if recommender.model.predicts_values(trained.get("loss")):
        raise ConfigError(f"{manifest.model.name}, which predicts values", expected="a model that ranks")
    if side == "validation" and trained.get("refit"):
        raise ConfigError(
            "a model that was trained on validation too",
            expected="train.refit = false",
            hint="train a copy without it to choose by",
        )
    if not recommender.catalogue.num_columns:
        raise DataError("an artifact without a catalogue", expected="titles to tell items by", hint="train with data.items")
    dataset, parts, _ = load_parts(config)
    dataset, parts = recoded(dataset, parts, recommender.users, recommender.items)
    judge = Judge(dataset, parts, config.evaluate, ratings=False)
    questions = _sampled(judge.questions(side), users, seed)
    language = Language.of(settings, patient=True)
    if language is None:
        raise ConfigError('language.kind = "off"', expected="endpoint, local or encoder", hint="see the settings of [language]")
    model = recommender.stages or recommender.model
    lists = judge.lists(model, questions, max(config.evaluate.length, settings.candidates))
    with language:
        ordered, seconds = _ordered(language, recommender, questions, lists)
        told = language.tally.to_dict()
    reports = {
        "without": judge.rank_report(lists, questions, parts.train),
        "with": judge.rank_report(_dealt(lists, ordered), questions, parts.train),
    }
    tokens = told["tokens"]
    return plain(
        {
            "model": "two_stage" if recommender.stages else manifest.model.name,
            "side": side,
            "users": len(questions),
            "language": settings.model_dump(mode="json", exclude_defaults=True),
            **{name: report.to_dict() for name, report in reports.items()},
            "comparison": compare(reports).to_dict(),
            "cost": told
            | {
                "price": (tokens["read"] * settings.input_price + tokens["written"] * settings.output_price) / 1e6,
                "seconds_a_list": {
                    "mean": float(seconds.mean()),
                    "median": float(np.median(seconds)),
                    "95 %": float(np.quantile(seconds, 0.95)),
                },
                "left_as_they_were": dict(Counter(one.problem for one in ordered if one.problem)),
                "changed": sum(one.places != tuple(range(len(one.places))) for one in ordered),
            },
        }
    )


def _sampled(questions: Questions, users: int | None, seed: int) -> Questions:
    asked = np.flatnonzero(questions.truth.lengths)
    if users is not None and users < len(asked):
        asked = np.sort(np.random.default_rng(seed).choice(asked, users, replace=False))
    return some(questions, asked)


def _ordered(
    language: Language, recommender: Recommender, questions: Questions, lists: np.ndarray
) -> tuple[list[Ordered], np.ndarray]:
    """The order of each list's best candidates, and the seconds it took."""
    told, seconds = _Titles(language, recommender), np.zeros(len(questions))
    budget = language.settings.budget_ms / 1000

    def ask(row: int) -> Ordered:
        past, candidates = questions.histories.row(row), lists[row][lists[row] > 0]
        began = time.perf_counter()
        found = language.order(told(past[-language.settings.history :]), told(candidates), budget)
        seconds[row] = time.perf_counter() - began
        return found

    first = [ask(row) for row in range(min(_TRIED, len(questions)))]
    if first and all(one.problem for one in first):
        raise DataError(
            f"no order for any of the first {len(first)} users: {', '.join(sorted({one.problem for one in first}))}",
            expected="a language model that answers in time",
            hint="look at language.url, language.model, the key, and language.budget_ms",
        )
    logger.info("asking the language model about %s lists", f"{len(questions):,}")
    with ThreadPoolExecutor(language.settings.in_flight) as threads:
        return [*first, *threads.map(ask, range(len(first), len(questions)))], seconds


class _Titles:
    """Items in words, each made once; safe to use from several threads."""

    def __init__(self, language: Language, recommender: Recommender) -> None:
        self._language, self._items, self._catalogue = language, recommender.items, recommender.catalogue
        self._made: dict[int, str] = {}

    def __call__(self, codes: np.ndarray) -> list[str]:
        known = codes[(codes >= FIRST) & (codes < self._items.size)].tolist()
        missing = [code for code in dict.fromkeys(known) if code not in self._made]
        if missing:
            rows = self._catalogue.take([code - FIRST for code in missing]).to_pylist()
            for code, row in zip(missing, rows, strict=True):
                self._made[code] = self._language.described(row, str(self._items.ids[code - FIRST]))
        return [self._made[code] for code in known]


def _dealt(lists: np.ndarray, ordered: list[Ordered]) -> np.ndarray:
    found = lists.copy()
    for row, one in enumerate(ordered):
        places = list(one.places)
        found[row, : len(places)] = lists[row, places]
    return found
