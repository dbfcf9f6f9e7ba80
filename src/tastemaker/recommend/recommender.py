"""Recommender: a trained model with everything needed to answer in the user's own words: ids in, ids out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, overload

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.vocabulary import FIRST, UNKNOWN, Vocabulary
from tastemaker.errors import DataError
from tastemaker.models.base import Model, Query, RetrievalModel
from tastemaker.recommend.candidates import Candidates, Scorer, device_of, rank, scorer
from tastemaker.recommend.encoding import Encoding
from tastemaker.recommend.reasons import Reason, effects, strongest
from tastemaker.recommend.scoring import Scoring
from tastemaker.recommend.stages import Stages

REASONS = 3
"""Reasons given for a recommendation at most."""

_NAME_COLUMNS = ("name", "title", "description", "product_name", "item_name")


@dataclass(frozen=True)
class Recommendation:
    """One item of an answer."""

    item: Any
    """the item's id"""
    score: float
    """the model's score: any real number, higher is better, comparable within one answer only"""
    rank: int
    """1 for the best"""
    name: str
    """the item's name in the catalogue, or its id as text"""
    reasons: tuple[Reason, ...] = ()
    """what it stands on, the strongest first; empty where none were asked for or the history played no part"""


@dataclass(frozen=True)
class Answer(Sequence[Recommendation]):
    """The recommendations for one request, best first, and what is to be known about them."""

    items: tuple[Recommendation, ...]
    fallback: Literal["", "popularity", "co-occurrence"] = ""
    """what the list comes from where the model had nothing to go by; "" when it is the model's own"""
    unknown: tuple[Any, ...] = ()
    """ids of a given history that were skipped because the vocabulary does not hold them"""

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Recommendation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Recommendation, ...]: ...
    def __getitem__(self, index: int | slice) -> Recommendation | tuple[Recommendation, ...]:
        return self.items[index]


class Recommender:
    """Answers requests in ids from a model, its vocabularies, the catalogue and what users are known to have done.

    Immutable: nothing a request does changes what the next one gets, so a running service swaps recommenders by one assignment.
    The model belongs to the recommender from then on; it is put into evaluation mode.

    Whoever has no known event - a new user, an empty basket - gets the items with the most events, and the answer says so
    (`fallback`), unless the model tells everybody the same anyway (popularity).
    """

    def __init__(
        self,
        model: Model,
        users: Vocabulary,
        items: Vocabulary,
        histories: Histories,
        *,
        events: np.ndarray | None = None,
        catalogue: pa.Table | None = None,
        stages: Stages | None = None,
        encoding: Encoding | None = None,
    ) -> None:
        """Joins the parts; `Recommender.of` takes them from a dataset.

        Args:
            model: a trained model.
            users: its users.
            items: its items.
            histories: what each user did, a row per user code, PAD and UNKNOWN included.
            events: int (items.size,): events of each item code, for the popular list; None counts them in `histories`.
            catalogue: a row per item place, or no columns.
            stages: what makes the lists, where it is more than the model: `model` is its first source, and is what items are alike by.
            encoding: what made the contents of items that the model learned from, for items that come later.

        Raises:
            DataError: the parts do not belong together.
        """
        catalogue = pa.table({}) if catalogue is None else catalogue
        _agree("users of the model", model.schema.num_users, users.size)
        _agree("items of the model", model.schema.num_items, items.size)
        _agree("histories", len(histories), users.size)
        if catalogue.num_columns:
            _agree("rows of the catalogue", catalogue.num_rows, len(items))
        if events is None:
            events = np.bincount(histories.items, minlength=items.size)
        _agree("event counts", len(events), items.size)
        self.model, self.users, self.items = model.eval(), users, items
        self.histories, self.events, self.catalogue = histories, events.astype(np.int64), catalogue
        self.stages, self.encoding = stages, encoding

    @classmethod
    def of(
        cls,
        model: Model,
        dataset: Dataset,
        interactions: Interactions | None = None,
        *,
        history_length: int | None = None,
        stages: Stages | None = None,
    ) -> Recommender:
        """A recommender over a dataset.

        Args:
            model: a model trained on the dataset's codes.
            dataset: brings vocabularies and catalogue.
            interactions: what is known of users when they ask; None takes all of the dataset's.
            history_length: newest events kept of each user; None keeps all. Items seen before those may come back.
            stages: see `Recommender`.
        """
        known = dataset.interactions if interactions is None else interactions
        known = known.take((known.user >= FIRST) & (known.item >= FIRST))
        histories = known.histories(dataset.users.size)
        events = np.bincount(known.item, minlength=dataset.items.size)
        if history_length is not None:
            histories = histories.last(history_length)
        return cls(
            model,
            dataset.users,
            dataset.items,
            histories,
            events=events,
            catalogue=dataset.catalogue,
            stages=stages,
            encoding=dataset.contents.encoding if dataset.contents else None,
        )

    def __repr__(self) -> str:
        return f"Recommender({type(self.model).__name__}, {len(self.users)} users, {len(self.items)} items)"

    def recommend(
        self,
        user: Any,
        k: int = 10,
        *,
        include_seen: bool = False,
        exclude: Iterable[Any] = (),
        allow: Iterable[Any] | None = None,
        reasons: bool = False,
    ) -> Answer:
        """The `k` best items for a user id; fewer where there are not so many.

        Args:
            user: an id; one never seen before gets the popular items and an answer that says so.
            k: length of the list, 1 or more.
            include_seen: whether items of the user's history may be recommended again.
            exclude: item ids not to recommend; unknown ones change nothing.
            allow: the only item ids that may be recommended; None allows all.
            reasons: whether to say what each recommendation stands on.
        """
        return self.recommend_many([user], k, include_seen=include_seen, exclude=exclude, allow=allow, reasons=reasons)[0]

    def recommend_many(
        self,
        users: Sequence[Any],
        k: int = 10,
        *,
        include_seen: bool = False,
        exclude: Iterable[Any] = (),
        allow: Iterable[Any] | None = None,
        reasons: bool = False,
    ) -> list[Answer]:
        """As `recommend`, for many users at once: one answer each, in order."""
        codes = self.users.encode(users)
        return self._answers(codes, self.histories.take(codes), k, include_seen, exclude, allow, reasons)

    def recommend_history(
        self,
        items: Sequence[Any],
        k: int = 10,
        *,
        include_seen: bool = False,
        exclude: Iterable[Any] = (),
        allow: Iterable[Any] | None = None,
        reasons: bool = False,
    ) -> Answer:
        """As `recommend`, for whoever did `items` (ids, oldest first): a session, a basket, a user of another system.

        Unknown ids are skipped and listed in the answer's `unknown`; if none is left the answer is the popular items.
        """
        history, unknown = self._history_of(items)
        nobody = np.array([UNKNOWN])
        (answer,) = self._answers(nobody, history, k, include_seen, exclude, allow, reasons)
        return Answer(answer.items, answer.fallback, unknown)

    def recommend_all(self, k: int = 10, *, include_seen: bool = False, chunk: int = 4096) -> Iterator[pa.RecordBatch]:
        """Lists for every known user as Arrow batches of `chunk` users: `user_id, item_id, rank (int32), score (float32)`.

        Rows are in the order of the users, then by rank. Users without history get the popular items, scored by their events.
        """
        for start in range(FIRST, self.users.size, chunk):
            codes = np.arange(start, min(start + chunk, self.users.size))
            lists, _ = self._lists(codes, self.histories.take(codes), k, include_seen)
            found = lists.codes > 0
            user, place = np.nonzero(found)
            yield pa.record_batch(
                {
                    "user_id": self.users.take(codes[user] - FIRST),
                    "item_id": self.items.take(lists.codes[found] - FIRST),
                    "rank": pa.array(place + 1, pa.int32()),
                    "score": pa.array(lists.scores[found], pa.float32()),
                }
            )

    def similar(self, item: Any, k: int = 10) -> Answer:
        """The `k` items most like an item.

        Retrieval models compare item vectors, less their mean, by cosine. Others are asked what they recommend to one who did only this item: for
        linear and neighbour models those are their own item-item weights. A model that looks at no history (popularity) knows
        nothing of likeness: then the score is the cosine of the sets of users, and `fallback` says "co-occurrence".

        Raises:
            UnknownIdError: the item is not in the vocabulary.
        """
        code = int(self.items.encode([item], strict=True)[0])
        itself = Histories.of([[code]])
        fallback: Literal["", "co-occurrence"] = ""
        if isinstance(self.model, RetrievalModel):
            score: Scorer = _fixed(self._score.directions @ self._score.directions[code])
        elif not self.model.personal:
            score, fallback = _fixed(self._co_occurrence(code)), "co-occurrence"
        else:
            score = self._score
        lists = rank(score, np.array([UNKNOWN]), itself, k, num_items=self.items.size, exclude=itself, device=self._device)
        return Answer(self._recommendations(lists.codes[0], lists.scores[0]), fallback)

    def history(self, user: Any) -> list[Any]:
        """The item ids of a user's known history, oldest first; empty for an unknown user."""
        return self.items.decode(self.histories.row(int(self.users.encode([user])[0])))

    def name(self, item: Any) -> str:
        """An item's name in the catalogue, or its id as text."""
        return self._names(self.items.encode([item], strict=True))[0]

    def explain(self, user: Any, item: Any, limit: int = REASONS) -> tuple[Reason, ...]:
        """What the score of `item` for `user` stands on: the items of the history that raise it, the strongest first.

        Empty where the history plays no part (a model that scores known users from the code alone).

        Raises:
            UnknownIdError: the user or the item is not in the vocabulary.
        """
        code = self.users.encode([user], strict=True)
        return self._reasons(int(code[0]), self.histories.take(code), self.items.encode([item], strict=True), limit)[0]

    def explain_history(self, items: Sequence[Any], item: Any, limit: int = REASONS) -> tuple[Reason, ...]:
        """As `explain`, for whoever did `items` (ids, oldest first; unknown ones are skipped)."""
        history, _ = self._history_of(items)
        return self._reasons(UNKNOWN, history, self.items.encode([item], strict=True), limit)[0]

    @cached_property
    def _score(self) -> Scoring:
        return scorer(self.model)

    @cached_property
    def _audience(self) -> np.ndarray:
        return _audiences(self.histories, self.items.size)

    @cached_property
    def _name_column(self) -> pa.ChunkedArray | None:
        texts = [column for column in self.catalogue.column_names if _is_text(self.catalogue.schema.field(column).type)]
        known = {column.lower(): column for column in reversed(texts)}
        chosen = next((known[name] for name in _NAME_COLUMNS if name in known), texts[0] if texts else None)
        return None if chosen is None else self.catalogue[chosen]

    @property
    def _device(self) -> torch.device:
        return device_of(self.model)

    def _history_of(self, items: Sequence[Any]) -> tuple[Histories, tuple[Any, ...]]:
        items = list(items)
        codes = self.items.encode(items)
        unknown = tuple(item for item, code in zip(items, codes, strict=True) if code == UNKNOWN)
        return Histories.of([codes[codes != UNKNOWN]]), unknown

    def _lists(
        self,
        users: np.ndarray,
        histories: Histories,
        k: int,
        include_seen: bool,
        exclude: Iterable[Any] = (),
        allow: Iterable[Any] | None = None,
    ) -> tuple[Candidates, np.ndarray]:
        """Lists for users (n,), and bool (n,): whose list is the popular items."""
        banned = None if include_seen else histories
        if never := list(exclude):
            banned = _with_each(histories.last(0) if banned is None else banned, self.items.encode(never))
        allowed = None if allow is None else self.items.encode(list(allow))
        nothing = (histories.lengths == 0) & (self.model.personal if self.stages is None else self.stages.personal)
        codes = np.zeros((len(users), max(k, 0)), dtype=np.int32)
        scores = np.full(codes.shape, -np.inf, dtype=np.float32)
        for score, rows in ((self._score, np.nonzero(~nothing)[0]), (self._popularity, np.nonzero(nothing)[0])):
            if self.stages is not None and score is self._score:
                found = self.stages.lists(
                    users[rows],
                    histories.take(rows),
                    k,
                    exclude=None if banned is None else banned.take(rows),
                    allowed=allowed,
                )
                codes[rows], scores[rows] = found.codes, found.scores
                continue
            found = rank(
                score,
                users[rows],
                histories.take(rows),
                k,
                num_items=self.items.size,
                exclude=None if banned is None else banned.take(rows),
                allowed=allowed,
                device=self._device,
            )
            codes[rows], scores[rows] = found.codes, found.scores
        return Candidates(codes, scores), nothing

    def _answers(
        self,
        users: np.ndarray,
        histories: Histories,
        k: int,
        include_seen: bool,
        exclude: Iterable[Any],
        allow: Iterable[Any] | None,
        reasons: bool,
    ) -> list[Answer]:
        lists, popular = self._lists(users, histories, k, include_seen, exclude, allow)
        answers = []
        for row, (codes, scores) in enumerate(zip(lists.codes, lists.scores, strict=True)):
            why = None
            if reasons and not popular[row]:
                why = self._reasons(int(users[row]), histories.take(np.array([row])), codes[codes > 0], REASONS)
            answers.append(Answer(self._recommendations(codes, scores, why), "popularity" if popular[row] else ""))
        return answers

    def _recommendations(
        self, codes: np.ndarray, scores: np.ndarray, reasons: list[tuple[Reason, ...]] | None = None
    ) -> tuple[Recommendation, ...]:
        codes = codes[codes > 0]
        reasons = [()] * len(codes) if reasons is None else reasons
        parts = zip(self.items.decode(codes), scores, self._names(codes), reasons, strict=False)
        return tuple(
            Recommendation(item, float(score), place, name, why)
            for place, (item, score, name, why) in enumerate(parts, start=1)
        )

    def _reasons(self, user: int, history: Histories, items: np.ndarray, limit: int) -> list[tuple[Reason, ...]]:
        """Reasons for each of the item codes (n,)."""
        if not len(history.items) or not len(items):
            return [()] * len(items)
        sources, effect = effects(self.model, self._score, user, history, items, self._device)
        ids, names = self.items.decode(sources), self._names(sources)
        return [
            tuple(Reason(ids[place], names[place], share) for place, share in strongest(column, limit)) for column in effect.T
        ]

    def _names(self, codes: np.ndarray) -> list[str]:
        ids = self.items.decode(codes)
        if self._name_column is None:
            return [str(item) for item in ids]
        names = self._name_column.take(pa.array(codes.astype(np.int64) - FIRST)).to_pylist()
        return [name or str(item) for name, item in zip(names, ids, strict=True)]

    def _popularity(self, query: Query, items: Tensor | None = None) -> Tensor:
        counts = torch.from_numpy(self.events).float().to(query.users.device)
        return (counts if items is None else counts[items]).repeat(len(query), 1)

    def _co_occurrence(self, code: int) -> Tensor:
        """Cosine of the sets of users of an item and of every item, float32 (num_items,); -inf where they share none."""
        event_rows = np.repeat(np.arange(len(self.histories)), self.histories.lengths)
        fans = np.unique(event_rows[self.histories.items == code])
        together = _audiences(self.histories.take(fans), self.items.size)
        cosine = together / np.sqrt(np.maximum(self._audience * len(fans), 1))
        return torch.from_numpy(np.where(together, cosine, -np.inf).astype(np.float32)).to(self._device)


def _audiences(histories: Histories, num_items: int) -> np.ndarray:
    """How many of the rows hold each item code, int64 (num_items,)."""
    rows = np.repeat(np.arange(len(histories)), histories.lengths)
    return np.bincount(np.unique(rows * num_items + histories.items) % num_items, minlength=num_items)


def _agree(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise DataError(
            f"{found} {what}",
            expected=f"{expected}, as in the vocabulary",
            hint="model and data were made with different vocabularies",
        )


def _fixed(scores: Tensor) -> Scorer:
    """The same scores (num_items,) for whoever asks."""
    return lambda query, items: scores.repeat(len(query), 1)


def _with_each(histories: Histories, codes: np.ndarray) -> Histories:
    """Every row with the same codes put in front."""
    rows = len(histories)
    items = np.insert(histories.items, np.repeat(histories.offsets[:-1], len(codes)), np.tile(codes, rows))
    offsets = histories.offsets + np.arange(rows + 1) * len(codes)
    return Histories(items, np.zeros(len(items), np.int64), np.ones(len(items), np.float32), offsets)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
