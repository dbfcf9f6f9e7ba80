"""Lists that start from items or users: similar, audience, complementary, rank, and the lists that are the same for everybody."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from tastemaker.errors import RequestError, StoreError
from tastemaker.models.base import RetrievalModel
from tastemaker.recommend.held import Held
from tastemaker.serve import company
from tastemaker.serve.asks import Past
from tastemaker.serve.browse import alike
from tastemaker.serve.envelope import model_name
from tastemaker.serve.guard import Guard
from tastemaker.serve.histories import past_of, reads
from tastemaker.serve.ids import checked
from tastemaker.serve.lists import best_of, listed
from tastemaker.serve.live import Live
from tastemaker.serve.masks import Gate, Masks
from tastemaker.serve.retrieve import query_of
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.shelves import Shelves, rounded
from tastemaker.serve.view import View
from tastemaker.store.base import Store
from tastemaker.wire.bodies import Answer, Because, Complementary, Rank, Shelf, SimilarUser, SimilarUsers

_ITEMS_OF_USER = 20
"""Newest items of a user by which others are found."""
_ITEMS_LIKE = 10
"""Items like a given one by whose users its audience is found."""


class Likeness:
    """Answers what is asked about items and users, rather than for a user."""

    def __init__(
        self,
        live: Live,
        masks: Masks,
        shelves: Shelves,
        store: Store,
        guard: Guard,
        settings: ServeSettings,
        clock: Callable[[], int],
    ) -> None:
        self._live, self._masks, self._shelves = live, masks, shelves
        self._store, self._guard, self._settings, self._clock = store, guard, settings, clock
        self._kept: Held[tuple[Answer, np.ndarray, Gate]] = Held(1000)

    def shelf(
        self,
        which: Literal["popular", "trending", "latest"],
        window_seconds: float | None,
        category: str | None,
        limit: int,
        filter: str | None,
        parameters: dict[str, Any],
        include: Sequence[str],
    ) -> Answer:
        """See `Service.popular`."""
        started, now, view = time.perf_counter(), self._clock(), self._live.view
        line, fresh = self._shelf_line(which, view, window_seconds)
        if category is not None:
            filter = "category HAS $__category" + (f" AND ({filter})" if filter else "")
            parameters = {**parameters, "__category": category}
        gate = self._masks.gate(view, now, filter, parameters, {})
        warnings = [] if fresh else ["counts_unavailable"]
        if window_seconds is not None and which != "latest" and rounded(window_seconds) != window_seconds:
            warnings.append("window_rounded")
        key = (which, id(line), view.number, id(gate), limit, tuple(include), *warnings)
        kept = self._kept.get(key)
        if kept is not None and kept[1] is line and kept[2] is gate:
            return kept[0]
        codes, scores = best_of(np.where(line > 0, line, -np.inf) if which == "trending" else line, gate, (), limit)
        answer = listed(
            view,
            codes,
            scores,
            [which] * len(codes),
            limit=limit,
            gate=gate,
            started=started,
            include=include,
            status="ok" if fresh else "degraded",
            warnings=warnings,
        )
        if fresh:
            self._kept.put(key, (answer, line, gate))
        return answer

    def similar(
        self, item_id: str, limit: int, filter: str | None, parameters: dict[str, Any], include: Sequence[str]
    ) -> Answer:
        """See `Service.similar`."""
        started, now, view = time.perf_counter(), self._clock(), self._live.view
        code = self.known(view, item_id)
        gate = self._masks.gate(view, now, filter, parameters, {})
        line = self._like(view, code)
        status: Literal["ok", "degraded", "fallback"] = "ok"
        fallback: str | None = None
        source, warnings = view.model_name, list[str]()
        if line is None:
            source = fallback = "co_occurrence"
            status = "fallback"
            try:
                line = self._together(view, [item_id])
            except StoreError:
                line, status = np.full(view.size, -np.inf, np.float32), "degraded"
                warnings.append("history_unavailable")
        codes, scores = best_of(line, gate, [code], limit)
        why: list[list[Because]] = []
        if "reasons" in include:
            together, users = Counter[int](), 0
            try:
                together, users = self._guard.ask(
                    lambda: alike.met_together(self._store, item_id, view), 4 * self._settings.store_budget_ms / 1000
                )
            except StoreError:
                warnings.append("history_unavailable")
            why = alike.reasons(view, code, codes, together, users)
        answer = listed(
            view, codes, scores, [source] * len(codes), limit=limit, gate=gate, started=started, include=include,
            status=status, fallback=fallback, warnings=list(dict.fromkeys(warnings)),
        )  # fmt: skip
        for shelf, reasons in zip(answer.items, why, strict=False):
            shelf.reasons = reasons
        return answer

    def complementary(self, body: Complementary) -> Answer:
        """See `Service.complementary`."""
        started, now, view = time.perf_counter(), self._clock(), self._live.view
        basket = {item: view.code(item) for item in body.item_ids}
        known = [code for code in basket.values() if code is not None]
        warnings = ["unknown_items"] if len(known) < len(basket) else []
        gate = self._masks.gate(view, now, body.filter, body.parameters, {})
        status: Literal["ok", "degraded", "fallback"] = "ok"
        codes: list[int] = []
        scores: list[float] = []
        try:
            codes, scores = best_of(
                self._together(view, [item for item, code in basket.items() if code is not None]), gate, known, body.limit
            )
        except StoreError:
            status = "degraded"
            warnings.append("history_unavailable")
        sources = ["co_occurrence"] * len(codes)
        lines = [line for code in known if (line := self._like(view, code)) is not None]
        if len(codes) < body.limit and lines:
            more, their_scores = best_of(np.mean(lines, axis=0), gate, [*known, *codes], body.limit - len(codes))
            codes, scores, sources = codes + more, scores + their_scores, sources + [view.model_name] * len(more)
        return listed(
            view, codes, scores, sources, limit=body.limit, gate=gate, started=started, status=status, warnings=warnings
        )

    def rank(self, body: Rank) -> Answer:
        """See `Service.rank`."""
        started, view = time.perf_counter(), self._live.view
        ids = list(dict.fromkeys(body.item_ids))
        known = [(item, code) for item in ids if (code := view.code(item)) is not None]
        codes = np.array([code for _, code in known], np.int64)
        warnings = ["unknown_items"] if len(known) < len(ids) else []
        status: Literal["ok", "degraded", "fallback"] = "ok"
        try:
            past = Past() if body.user_id is None else self._pasts(view, [checked(body.user_id, "user_id")])[0]
        except StoreError:
            past, status = Past(), "degraded"
            warnings.append("history_unavailable")
        if view.scoring is not None and view.readable(past.codes) and len(codes):
            with torch.inference_mode():
                scores = view.scoring(query_of([past], view), torch.from_numpy(codes))[0].float().numpy()
            source, fallback = view.model_name, None
        else:
            scores, source, fallback = self._shelves.popular(view, None)[0][codes], "popular", "popular"
            status = "fallback" if status == "ok" else status
        order = np.lexsort((codes, -scores))
        shelves = [Shelf(item_id=known[place][0], rank=rank, source=source) for rank, place in enumerate(order, start=1)]
        for shelf, place in zip(shelves, order, strict=True):
            shelf.score = float(scores[place]) if "score" in body.include else None
            shelf.properties = view.properties(int(codes[place])) if "properties" in body.include else None
        for item in ids:
            if view.code(item) is None:
                shelves.append(Shelf(item_id=item, rank=len(shelves) + 1, source="unknown", known=False))
        return Answer(
            recommendation_id=None,
            items=shelves,
            status=status,
            fallback=fallback,
            warnings=warnings,
            model=model_name(view) if fallback is None else None,
            took_ms=round((time.perf_counter() - started) * 1000, 3),
        )

    def similar_users(self, user_id: str, limit: int) -> SimilarUsers:
        """See `Service.similar_users`."""
        view = self._live.view
        events = self._store.history(user_id, company.HISTORY)
        newest = list(dict.fromkeys(event.item_id for event in reversed(events)))[:_ITEMS_OF_USER]
        met = company.met_by(self._store, newest)
        met.pop(user_id, None)
        others = company.nearest(met)
        if not others:
            return SimilarUsers(users=[])
        model = view.model
        if view.scoring is not None and isinstance(model, RetrievalModel):
            pasts = self._pasts(view, [user_id, *others])
            with torch.inference_mode():
                vectors = torch.nn.functional.normalize(model.encode_user(query_of(pasts, view)).float(), dim=-1)
                scores = (vectors[1:] @ vectors[0]).numpy()
        else:
            own = company.distinct(events, view)
            sets = [company.distinct(history, view) for history in self._store.histories(others, company.HISTORY)]
            scores = np.array([len(own & one) / max(1.0, (len(own) * len(one)) ** 0.5) for one in sets])
        return _users(others, scores, limit)

    def audience(self, item_id: str, limit: int) -> SimilarUsers:
        """See `Service.audience`."""
        now, view = self._clock(), self._live.view
        code = self.known(view, item_id)
        line = self._like(view, code)
        line = self._together(view, [item_id]) if line is None else line
        like, _ = best_of(line, self._masks.gate(view, now, None, {}, {}), [code], _ITEMS_LIKE)
        met = company.met_by(self._store, [view.ids[one] for one in like])
        others = company.nearest(met)
        if others:
            others = [user for user, items in zip(others, self._store.seen(others), strict=True) if item_id not in items]
        if not others:
            return SimilarUsers(users=[])
        if view.scoring is None:
            return _users(others, np.array([len(met[user]) for user in others]), limit)
        with torch.inference_mode():
            query = query_of(self._pasts(view, others), view)
            scores = view.scoring(query, torch.tensor([code]))[:, 0].float().numpy()
        return _users(others, scores, limit)

    def _shelf_line(self, which: str, view: View, window_seconds: float | None) -> tuple[np.ndarray, bool]:
        if which == "latest":
            return self._shelves.latest(view), True
        return (self._shelves.popular if which == "popular" else self._shelves.trending)(view, window_seconds)

    def _like(self, view: View, code: int) -> np.ndarray | None:
        """The model's likeness of every item to one, float32 (size,); None where the model knows nothing of it."""
        scoring = view.scoring
        if scoring is None:
            return None
        if scoring.vectors is not None:
            if code >= scoring.size or not bool(scoring.vectors[code].any()):
                return None
            return (scoring.directions @ scoring.directions[code]).numpy()
        if not scoring.model.personal:
            return None
        past = Past()
        for known in [code] if code < view.known else [one for one, _ in view.stands_for(code)]:
            past.add(known, 0, 1.0)
        if not past.codes:
            return None
        with torch.inference_mode():
            return scoring(query_of([past], view))[0].float().numpy()

    def _together(self, view: View, item_ids: Iterable[str]) -> np.ndarray:
        popular = self._shelves.popular(view, None)[0]
        ids = list(item_ids)
        return self._guard.ask(
            lambda: company.together(self._store, ids, view, popular), 4 * self._settings.store_budget_ms / 1000
        )

    def _pasts(self, view: View, users: Sequence[str]) -> list[Past]:
        length = reads(view, self._settings.history_length)
        found = self._guard.ask(lambda: self._store.histories(users, length), self._settings.store_budget_ms / 1000)
        return [past_of(user, events, view) for user, events in zip(users, found, strict=True)]

    def met(self, user_id: str) -> list[int]:
        """What a user met, in codes, oldest first. Raises RequestError (404) where that is nothing."""
        view = self._live.view
        codes = self._pasts(view, [user_id])[0].codes
        if not codes:
            raise RequestError(
                "a user of whom nothing is known", code="unknown_user", status=404, expected="a user with events"
            )
        return codes

    @staticmethod
    def known(view: View, item_id: str) -> int:
        """The code of an item. Raises RequestError (404) where nothing is known of it."""
        code = view.code(checked(item_id, "item_id"))
        if code is None:
            raise RequestError(f"no item {item_id[:80]!r}", code="unknown_item", status=404, expected="the id of a known item")
        return code


def _users(users: Sequence[str], scores: np.ndarray, limit: int) -> SimilarUsers:
    order = sorted(range(len(users)), key=lambda place: (-float(scores[place]), users[place]))[:limit]
    return SimilarUsers(users=[SimilarUser(user_id=users[place], score=round(float(scores[place]), 6)) for place in order])
