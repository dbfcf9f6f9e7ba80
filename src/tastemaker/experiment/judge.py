"""Judge: asks a model the questions of one side of a split and reports how good the answers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
import scipy.sparse as sp
import torch

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.splits import Questions, Side, Split
from tastemaker.data.vocabulary import FIRST, PAD, UNKNOWN, Vocabulary
from tastemaker.errors import ConfigError, DataError
from tastemaker.evaluate import coldness, metrics
from tastemaker.evaluate.beyond import co_occurrence
from tastemaker.evaluate.evaluator import evaluate_ranking, evaluate_ratings
from tastemaker.evaluate.report import Report
from tastemaker.experiment.config import EvaluateSection
from tastemaker.models.base import Model, Query, RetrievalModel
from tastemaker.recommend.candidates import choose, retrieve
from tastemaker.recommend.stages import Stages

VALIDATION_USERS = 20_000
"""Users asked at most each time a choice is made on validation: a seeded sample of them where there are more."""
_CHUNK_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Judge:
    """The questions of a split, and how answers to them are judged."""

    dataset: Dataset
    split: Split
    config: EvaluateSection
    ratings: bool
    """whether values are predicted (rmse, mae) rather than lists ranked"""

    def __post_init__(self) -> None:
        if not self.ratings and not self.config.ranking:
            raise ConfigError(
                f"evaluate.metrics = {list(self.config.metrics)} for a model that ranks",
                expected=f"some of {', '.join(metrics.RANKING)}",
                hint='models bfm and svdpp predict values, and others with train.loss = "squared_error"',
            )
        base, k = metrics.parse(self.metric)
        if (base in metrics.RATING) != self.ratings:
            kind = "rmse or mae, as the model predicts values" if self.ratings else "a ranking metric"
            raise ConfigError(f"evaluate.select = {self.metric!r}", expected=kind)
        if base in metrics.RANKING and k is None:
            raise ConfigError(f"evaluate.select = {self.metric!r}", expected=f"a cut, as in {base}@10")

    @property
    def metric(self) -> str:
        """The name of the validation metric that choices are made by."""
        if self.config.select:
            return self.config.select
        return "rmse" if self.ratings else f"ndcg@{10 if 10 in self.config.ks else max(self.config.ks)}"

    @property
    def sign(self) -> int:
        """1 where a higher metric is better, else -1."""
        return -1 if metrics.lower_is_better(self.metric) else 1

    @property
    def can_choose(self) -> bool:
        """Whether somebody is asked on the validation side."""
        lengths = self.questions("validation").histories.lengths
        return bool((lengths > 0).any() if self.config.new_users == "exclude" else len(lengths))

    def questions(self, side: Side) -> Questions:
        """Who is asked on a side, with what history, and what is right."""
        return self._validation if side == "validation" else self._test

    @cached_property
    def _validation(self) -> Questions:
        return self.split.questions("validation", self.dataset.users.size)

    @cached_property
    def _test(self) -> Questions:
        return self.split.questions("test", self.dataset.users.size)

    @property
    def ranked_among(self) -> str | None:
        """What test items are ranked among where it is not the catalogue, in words."""
        among = None if self.ratings else self.questions("test").among
        if among is None:
            return None
        truth = self.questions("test").truth
        right = [len(np.unique(truth.row(row))) for row in range(len(truth))]
        fewest, most = int((among.lengths - right).min()), int((among.lengths - right).max())
        count = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
        return f"{count} given negatives, not the catalogue"

    def report(self, model: Model | Stages, side: Side, learned: Interactions) -> Report:
        """The full report of a side.

        Args:
            model: the model, trained, or both stages of one.
            side: "validation" or "test".
            learned: the interactions the model was trained on: what is popular or cold is counted in them.
        """
        questions = self.questions(side)
        lengths = questions.histories.lengths
        if not len(questions):
            raise DataError(f"nobody is asked on the {side} side", expected="users with rows there", hint="change [split]")
        if self.ratings:
            owner = np.repeat(np.arange(len(questions)), questions.truth.lengths)
            assert isinstance(model, Model)
            predicted = self.predict(model, questions)
            return evaluate_ratings(
                predicted, questions.truth.values, questions.users[owner], self.config, history_lengths=lengths[owner]
            )
        counts = np.bincount(learned.item, minlength=self.dataset.items.size)
        return self.rank_report(
            self.lists(model, questions, self.config.length),
            questions,
            learned,
            among_lists=self._among_lists(model, questions, counts),
        )

    def rank_report(
        self,
        lists: np.ndarray,
        questions: Questions,
        learned: Interactions,
        *,
        among_lists: dict[str, np.ndarray] | None = None,
    ) -> Report:
        """The report of lists, int (questions, ≥ config.length), and of lists of `coldness.among`; `learned` as of `report`."""
        return evaluate_ranking(
            lists,
            questions.truth,
            np.bincount(learned.item, minlength=self.dataset.items.size),
            questions.histories.lengths,
            self.config,
            users=questions.users,
            histories=questions.histories,
            item_vectors=self._likeness,
            among=questions.among,
            among_lists=among_lists,
        )

    def chooser(self) -> Callable[[Model], float]:
        """The validation metric as a function of the model, higher better (errors are negated)."""
        if self.ratings:
            questions, (base, _) = self.choosing(), metrics.parse(self.metric)
            return lambda model: -metrics.RATING[base](self.predict(model, questions), questions.truth.values)
        values = self.values()
        return lambda model: float(np.mean(values(model)))

    def values(self) -> Callable[[Model], np.ndarray]:
        """What `chooser` takes the mean of, for models that rank: the validation metric of each user who is asked."""
        questions, (_, k) = self.choosing(), metrics.parse(self.metric)

        def ranked(model: Model) -> np.ndarray:
            hits, relevant = metrics.hits_of(self.lists(model, questions, k or 1), questions.truth)
            return metrics.per_user([self.metric], hits, relevant)[self.metric]

        return ranked

    def choosing(self) -> Questions:
        """The validation questions that choices are made by."""
        questions = self.questions("validation")
        if self.config.new_users == "exclude":
            questions = some(questions, np.flatnonzero(questions.histories.lengths))
        if len(questions) > VALIDATION_USERS:
            rows = np.random.default_rng(0).choice(len(questions), VALIDATION_USERS, replace=False)
            questions = some(questions, np.sort(rows))
        return questions

    @cached_property
    def _likeness(self) -> sp.csr_matrix:
        """Item vectors that diversity is measured by: the same for every model."""
        return co_occurrence(self.split.train, self.dataset.items.size, np.random.default_rng(0))

    def _among_lists(self, model: Model | Stages, questions: Questions, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Lists of items without training interactions alone and of those with some, filled in for who asks for one; none where nobody looks."""
        if questions.among is not None or not coldness.told_apart(self.config.coldness, questions.truth, counts):
            return {}
        found = {}
        for name, (rows, _, codes) in coldness.among(questions.truth, counts).items():
            if not len(rows):
                continue
            found[name] = np.zeros((len(questions), self.config.length), np.int32)
            allowed = codes[codes < model.schema.num_items]
            found[name][rows] = self.lists(model, some(questions, rows), self.config.length, allowed=allowed)
        return found

    def lists(self, model: Model | Stages, questions: Questions, k: int, *, allowed: np.ndarray | None = None) -> np.ndarray:
        """The `k` best items of each question, of those allowed, int32 codes, best first, 0 beyond the last."""
        users, histories = _as_known(model, questions)
        seen = replace(questions.seen, items=_within(questions.seen.items, model.schema.num_items))
        exclude = seen if self.config.filter_seen else None
        if isinstance(model, Stages):
            return model.lists(users, histories, k, at=questions.asked_at, exclude=exclude, allowed=allowed).codes
        if questions.among is not None:
            return choose(model, users, histories, k, questions.among, batch_size=self.config.batch_size).codes
        return retrieve(model, users, histories, k, exclude=exclude, allowed=allowed, batch_size=self.config.batch_size).codes

    def predict(self, model: Model, questions: Questions) -> np.ndarray:
        """The value of each row of the truth, at the time it has, float32."""
        if not isinstance(model, RetrievalModel):
            raise ConfigError(f"{type(model).__name__}, which ranks", expected="a model that predicts values, such as mf")
        owner = np.repeat(np.arange(len(questions)), questions.truth.lengths)
        users, histories = _as_known(model, questions)
        items = torch.from_numpy(_within(questions.truth.items, model.schema.num_items).astype(np.int64))
        times = torch.from_numpy(questions.truth.times) if self.dataset.interactions.has_times else None
        predicted = np.empty(len(owner), dtype=np.float32)
        tensor = next(chain(model.parameters(), model.buffers()))
        model.eval()
        with torch.inference_mode():
            for start in range(0, len(owner), _CHUNK_ROWS):
                rows = slice(start, start + _CHUNK_ROWS)
                asked, places = np.unique(owner[rows], return_inverse=True)
                query = Query.of(users[asked], histories.take(asked)).to(tensor.device)
                found = model.score_each(
                    query,
                    items[rows].to(tensor.device),
                    torch.from_numpy(places).to(tensor.device),
                    None if times is None else times[rows].to(tensor.device),
                )
                predicted[rows] = found.float().cpu().numpy()
        return predicted


def recoded(dataset: Dataset, split: Split, users: Vocabulary, items: Vocabulary) -> tuple[Dataset, Split]:
    """The same events and sides in the codes of other vocabularies; ids that those lack get codes after all of theirs.

    Catalogue and profiles are left behind. A dataset that has these vocabularies already is returned as it is.
    """
    if dataset.users == users and dataset.items == items:
        return dataset, split
    rows = split.interactions
    users, items = users.grown(dataset.users.ids), items.grown(dataset.items.ids)
    user, item = (
        np.concatenate([np.arange(FIRST, dtype=np.int32), vocabulary.encode(old.ids)])[codes]
        for vocabulary, old, codes in ((users, dataset.users, rows.user), (items, dataset.items, rows.item))
    )
    order = np.argsort(user, kind="stable")  # within a user the order stays
    rows = replace(rows, user=user, item=item).take(order)
    negatives = split.negatives
    if negatives is not None:
        names = np.concatenate([np.arange(FIRST), items.encode(dataset.items.ids)]).astype(np.int32)
        places = np.full(users.size, PAD)  # whose row is empty
        places[users.encode(dataset.users.ids)] = np.arange(FIRST, dataset.users.size)
        negatives = replace(negatives, items=names[negatives.items]).take(places)
    return Dataset(users, items, rows), replace(split, interactions=rows, label=split.label[order], negatives=negatives)


def some(questions: Questions, rows: np.ndarray) -> Questions:
    """Some of the questions."""
    return replace(
        questions,
        users=questions.users[rows],
        histories=questions.histories.take(rows),
        truth=questions.truth.take(rows),
        trained=questions.trained[rows],
        seen=questions.seen.take(rows),
        among=None if questions.among is None else questions.among.take(rows),
    )


def _as_known(model: Model | Stages, questions: Questions) -> tuple[np.ndarray, Histories]:
    """User codes and histories as the model can read them: codes beyond its own become UNKNOWN."""
    histories = questions.histories
    users = _within(questions.asked_as, model.schema.num_users)
    return users, replace(histories, items=_within(histories.items, model.schema.num_items))


def _within(codes: np.ndarray, size: int) -> np.ndarray:
    return codes if not len(codes) or codes.max() < size else np.where(codes < size, codes, np.int32(UNKNOWN))
