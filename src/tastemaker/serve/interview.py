"""Interview: what to ask a new user about, and what they said.

Prototypes are learned from the model in use by a thread of its own, within seconds of each swap; until then, and without a model,
people are asked about what is popular. Answers are events: a like of kind "like", anything else of a kind that counts as nothing done
(`store.base.SILENT`). What a user did besides is an answer too: whoever bought an item likes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import StoreError, TastemakerError
from tastemaker.log import logger
from tastemaker.recommend.onboarding import ANSWERS, DISLIKE, LIKE, UNKNOWN_ITEM, Prototypes, certainty
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.guard import Guard
from tastemaker.serve.lists import best_of
from tastemaker.serve.live import Live
from tastemaker.serve.masks import Gate, Masks
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.shelves import Shelves
from tastemaker.serve.view import View
from tastemaker.store.base import Event, Store
from tastemaker.wire.bodies import Answered, EventBody, OnboardingReply, Shelf

_USERS = 5000
"""Users that prototypes are learned from, a seeded sample."""
_EVENTS = 1000
"""Newest events of a user that count as answers."""


class Interview:
    """Chooses questions; safe to use from several threads."""

    def __init__(
        self,
        store: Store,
        live: Live,
        guard: Guard,
        masks: Masks,
        shelves: Shelves,
        settings: ServeSettings,
        clock: Callable[[], int],
    ) -> None:
        self._store, self._live, self._guard, self._masks = store, live, guard, masks
        self._shelves, self._settings, self._clock = shelves, settings, clock
        self._learned: tuple[Recommender, Prototypes] | None = None
        self._tried: Recommender | None = None
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Has prototypes learned where the model in use is another than before, and does not wait for it."""
        recommender = self._live.view.recommender
        if recommender is None or self._tried is recommender or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._learn, name="interview", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Waits for what is being learned, a while."""
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _learn(self) -> None:
        try:
            self.prepare()
        except Exception:  # people are then asked about what is popular
            logger.exception("onboarding not prepared")

    def prepare(self) -> None:
        """Learns prototypes where the model in use is another than before; takes seconds."""
        recommender = self._live.view.recommender
        if recommender is None or self._tried is recommender:
            return
        self._tried = recommender
        histories = recommender.histories
        rows = np.flatnonzero(histories.lengths)
        rows = rows[rows >= FIRST]
        if len(rows) > _USERS:
            rows = np.sort(np.random.default_rng(0).choice(rows, _USERS, replace=False))
        if not len(rows):
            return
        ids = [str(one) for one in recommender.users.decode(rows)]
        try:
            profiles: Sequence[Mapping[str, Any]] | None = self._store.profiles(ids)
        except TastemakerError as error:
            logger.warning("profiles not read: %s", type(error).__name__)
            profiles = None
        prototypes = Prototypes.of(
            histories.take(rows), recommender.items.size, like_from=self._settings.like_from, profiles=profiles
        )
        self._learned = recommender, prototypes

    def ask(
        self, user_id: str, limit: int, filter: str | None, parameters: Mapping[str, Any], include: Sequence[str]
    ) -> OnboardingReply:
        """The next items to ask a user about.

        Raises:
            RequestError: the filter is no good.
        """
        started, now, view = time.perf_counter(), self._clock(), self._live.view
        gate = self._masks.gate(view, now, filter, parameters, {})
        warnings: list[str] = []
        try:
            events, profile = self._guard.ask(
                lambda: (self._store.events(user_id=user_id, limit=_EVENTS).rows, self._store.profiles([user_id])[0]),
                self._settings.store_budget_ms / 1000,
            )
        except StoreError:
            events, profile = [], {}
            warnings.append("history_unavailable")
        said = self._said(events)
        answers = {code: answer for item, answer in said.items() if (code := view.code(item)) is not None}
        codes, sure = self._chosen(view, gate, answers, profile, limit)
        informed, sources = bool(codes), ["onboarding"] * len(codes)
        if len(codes) < limit:
            popular, _ = best_of(self._shelves.popular(view, None)[0], gate, {*answers, *codes}, limit - len(codes))
            codes, sources = [*codes, *popular], [*sources, *["popular"] * len(popular)]
        if len(codes) < limit:
            warnings.append("insufficient_candidates")
        return OnboardingReply(
            items=[
                Shelf(
                    item_id=view.ids[code],
                    rank=rank,
                    source=one,
                    properties=view.properties(code) if "properties" in include else None,
                )
                for rank, (code, one) in enumerate(zip(codes, sources, strict=True), start=1)
            ],
            answered={answer: sum(one == answer for one in said.values()) for answer in ANSWERS},
            certainty=sure,
            status="degraded" if "history_unavailable" in warnings else "ok" if informed else "fallback",
            fallback=None if informed else "popular",
            warnings=warnings,
            took_ms=round((time.perf_counter() - started) * 1000, 3),
        )

    def events(self, user_id: str, answers: Sequence[Answered]) -> list[EventBody]:
        """Answers as events; a like has the least value of a like."""
        value = 1.0 if self._settings.like_from is None else self._settings.like_from
        return [
            EventBody(user_id=user_id, item_id=one.item_id, type=one.answer, value=value if one.answer == LIKE else 0.0)
            for one in answers
        ]

    def _said(self, events: Sequence[Event]) -> dict[str, str]:
        """The answer of a user to each item: what the newest event of it says."""
        said: dict[str, str] = {}
        for event in events:
            if event.kind in (DISLIKE, UNKNOWN_ITEM):
                answer = event.kind
            else:
                answer = LIKE if self._settings.like_from is None or event.value >= self._settings.like_from else DISLIKE
            said.setdefault(event.item_id, answer)
        return said

    def _chosen(
        self, view: View, gate: Gate, answers: Mapping[int, str], profile: Mapping[str, Any], limit: int
    ) -> tuple[list[int], float]:
        """Codes to ask about, and how sure the taste is known already."""
        learned = self._learned
        if learned is None or learned[0] is not view.recommender:
            return [], 0.0
        prototypes = learned[1]
        banned = ~gate.open[prototypes.codes] | np.isin(prototypes.codes, list(answers))
        belief = prototypes.belief(answers, profile)
        codes, _ = prototypes.questions(belief, limit, banned=banned)
        return codes.tolist(), round(certainty(belief, prototypes.prior(profile)), 4)
