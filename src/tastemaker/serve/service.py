"""Service: everything the product answers, without HTTP; bodies in, replies out.

| verbs | file |
|---|---|
| recommend, next_page, batch | `desk.py`: the path of a batch; `pages.py` |
| popular, trending, latest | `shelves.py` |
| similar, similar_users, audience, complementary, rank | `likeness.py` |
| explain | `explain.py` |
| compare | `compare.py`, and the versions it asks in `beside.py` |
| onboarding, answer_onboarding | `interview.py` |
| summary, tags, and what a language model does to lists | `voice.py` |
| scenarios: check_rules, preview, pipeline | `scenarios.py` (in force), `rules.py` (merged), `rule_checks.py`, `preview.py`, `pipeline.py` |
| feedback | `keeper.py`, `intake.py` |
| items and users | `keeper.py`, `catalogue.py`, `live.py` |
| finding items, their pages | `browse/` |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from tastemaker.errors import RequestError
from tastemaker.recommend.language import Language
from tastemaker.recommend.recommender import Recommender
from tastemaker.serve.asks import Ask
from tastemaker.serve.beside import Bench, Beside, Key
from tastemaker.serve.browse.finder import Finder
from tastemaker.serve.browse.profile import profile
from tastemaker.serve.browse.survey import Reach, Surveys
from tastemaker.serve.compare import compare
from tastemaker.serve.crowd import Crowd
from tastemaker.serve.desk import Desk, Ranked
from tastemaker.serve.envelope import Envelopes
from tastemaker.serve.explain import explain
from tastemaker.serve.guard import Guard
from tastemaker.serve.ids import checked
from tastemaker.serve.interview import Interview
from tastemaker.serve.keeper import Keeper
from tastemaker.serve.likeness import Likeness
from tastemaker.serve.live import Live
from tastemaker.serve.masks import Masks
from tastemaker.serve.outcomes import Outcomes
from tastemaker.serve.pages import Pages
from tastemaker.serve.pipeline import pipeline
from tastemaker.serve.preview import preview
from tastemaker.serve.recorder import Recorder
from tastemaker.serve.rule_checks import check
from tastemaker.serve.rules import InForce
from tastemaker.serve.scenarios import Scenarios
from tastemaker.serve.settings import ServeSettings
from tastemaker.serve.shelves import Shelves
from tastemaker.serve.view import View
from tastemaker.serve.voice import Voice
from tastemaker.store.base import ModelVersion, Store
from tastemaker.wire.bodies import (
    Answer,
    Answers,
    Complementary,
    Explain,
    Onboarding,
    OnboardingReply,
    Rank,
    Recommend,
    RecommendBatch,
    RecommendSession,
    SessionEvent,
    SimilarUsers,
    Summary,
    Tags,
    Trace,
)
from tastemaker.wire.browse import ItemProfile
from tastemaker.wire.compare import CompareBody, ComparedReply
from tastemaker.wire.scenarios import Checked, PipelineReply, PreviewBody, PreviewReply, Rules

_MASKS_BESIDE = 16
"""Results of filters held for a version that is compared with."""


def wall_clock() -> int:
    """µs since 1970."""
    return time.time_ns() // 1000


class Service(Keeper):
    """Answers requests from a store and, as soon as one is swapped in, a model.

    All methods may be called from several threads at once; none may be called from an event loop, since they wait for the store.
    Methods that take one request raise `RequestError` where it cannot be answered as asked.
    """

    def __init__(
        self,
        store: Store,
        *,
        settings: ServeSettings | None = None,
        clock: Callable[[], int] = wall_clock,
        follow: bool = True,
        language: Language | None = None,
    ) -> None:
        """Reads the catalogue of `store` (which stays the caller's to close).

        Args:
            store: an open store.
            settings: `[serve]`; None takes the defaults.
            clock: µs since 1970.
            follow: whether to look for changes of the catalogue by other processes in the background, from `warm` on.
            language: a language model, for requests that ask for one; it stays the caller's to close.
        """
        settings = ServeSettings.parse({}) if settings is None else settings
        self.settings, self.store, self._clock = settings, store, clock
        self._shelves = Shelves(store, settings, clock)
        if follow:
            self._shelves.begin()
        self._crowd = Crowd(store, clock)
        self._live = Live(store, self._crowd, settings.ranker_precision)
        self._guard = Guard(pause_seconds=settings.store_pause_seconds)
        self._masks = Masks(settings.masks)
        self._pages = Pages(store, settings.pages)
        self.recorder = Recorder(store, queue=settings.recorder_queue, group=settings.recorder_group)
        self._envelopes = Envelopes(self._pages, self.recorder)
        self._voice = Voice(language)
        self.scenarios = Scenarios(store)
        self._desk = self._desk_of(self._live, self._masks)
        self.beside = Beside(self._bench, settings.compare_versions, settings.compare_idle_seconds, settings.refresh_seconds)
        """versions that are not in use, to be compared with"""
        self._likeness = Likeness(self._live, self._masks, self._shelves, store, self._guard, settings, clock)
        self._interview = Interview(store, self._live, self._guard, self._masks, self._shelves, settings, clock)
        self._warm, self._follow = False, follow
        self.outcomes = Outcomes(store, clock, settings.purchase_kinds)
        """what recommendations earned"""
        surveys = Surveys(self._shelves, lambda view: Reach.of(self.outcomes, view), clock)
        self.finder = Finder(self._live, surveys, clock, settings.popular_days * 86_400)
        self._live.each_round(self._shelves.refresh)
        self._live.each_round(self.outcomes.refresh)
        self._live.each_round(self._count)
        self._live.each_round(self._interview.begin)
        self._live.each_round(self.beside.release)

    def close(self) -> None:
        """Keeps what waits to be kept and stops the threads; the store stays open."""
        self._live.close()
        self.beside.close()
        self.scenarios.close()
        self.finder.close()
        self.recorder.close()
        self._interview.close()
        self._shelves.close()
        self._guard.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # the model
    @property
    def view(self) -> View:
        """What the next request will see: catalogue, model and version, which belong together."""
        return self._live.view

    @property
    def version(self) -> ModelVersion | None:
        """The version in use."""
        return self._live.view.version

    @property
    def ready(self) -> bool:
        """Whether `warm` has run; before that the first requests would wait for what it prepares."""
        return self._warm

    def swap(self, recommender: Recommender | None, version: ModelVersion | None = None) -> None:
        """Puts a model in use by one assignment: requests under way end with the one they began with, later ones get this one.

        None takes the model out: then everybody gets the popular list.
        """
        self._live.swap(recommender, version)
        self._count()

    def warm(self) -> None:
        """Answers a few requests so that the first real ones find everything prepared; then begins to follow the catalogue."""
        view = self._live.view
        session = RecommendSession(events=[SessionEvent(item_id=item) for item in view.ids[2:12]])
        for size in (1, self.settings.max_batch):
            self._desk.answer([Ask(session, record=False)] * size)
        self._desk.answer([Ask(Recommend(), record=False)])
        self._warm = True
        if self._follow:  # not before: what is made of the catalogue in the background takes turns with whoever loads the model
            self._follow = False
            self._live.start(self.settings.refresh_seconds)
            self.scenarios.start()

    def watch_stages(self, watch: Callable[[str, float], object]) -> None:
        """Has `watch` told what each stage of a batch of lists took, in seconds: filter, history, score, language, rerank, explain, record."""
        self._desk.watch = self._desk.two_stage.watch = watch

    def watch_skips(self, watch: Callable[[str, str, int], object]) -> None:
        """Has `watch` told which stage was left out: its name ("ranker", "language" or a source's), why (failed, late …), for how many."""
        self._desk.two_stage.skipped = self._voice.skipped = watch

    def watch_rows(self, watch: Callable[[Ranked], object] | None) -> None:
        """Has `watch` told, for each answer, the encoded rows that a ranker read; None: nobody, as to begin with."""
        self._desk.two_stage.keeps_rows = watch is not None
        self._desk.watch_rows = watch

    # lists
    def recommend(self, requests: Sequence[Recommend], *, record: bool = True) -> list[Answer | RequestError]:
        """A list for each request (`Recommend` or `RecommendSession`), all from one forward pass of one version.

        An error of one request is returned in its place and does not fail the others. With `record` the answers are kept in the
        store, soon, by a thread of its own; without it nothing is written.
        """
        return self._desk.answer([Ask(request, record=record) for request in requests])

    def answer(self, asks: Sequence[Ask]) -> list[Answer | RequestError]:
        """As `recommend`, for asks that say each whether to record and when they arrived."""
        return self._desk.answer(asks)

    def next_page(self, cursor: str, limit: int | None = None, *, record: bool = True) -> Answer:
        """What comes after an answer: nothing of the pages before, and nothing the user has met since.

        Args:
            cursor: `next_cursor` of the answer, or its recommendation id.
            limit: length of the page; None: as before.
            record: as in `recommend`.

        Raises:
            RequestError: the cursor is forged (400), or the answer is not held any more (404).
        """
        return self._one(self._desk.answer([self._pages.continued(cursor, limit, record=record)]))

    def owner(self, cursor: str) -> str | None:
        """The user that an answer was for; None where it was for nobody in particular. Raises as `next_page`."""
        return self._pages.continued(cursor, None).request.user_id

    def batch(self, body: RecommendBatch, *, record: bool = True) -> Answers:
        """Several shelves of a page; where `distinct`, an earlier shelf keeps an item from all later ones.

        Raises:
            RequestError: one of the requests cannot be answered as asked.
        """
        asks: list[Ask] = []
        for request in body.requests:
            asks.append(Ask(request, shelves=tuple(asks) if body.distinct else (), record=record))
        answers = self._desk.answer(asks)
        return Answers(answers=[self._one([answer]) for answer in answers])

    def popular(
        self,
        which: Literal["popular", "trending", "latest"] = "popular",
        *,
        window_seconds: float | None = None,
        category: str | None = None,
        limit: int = 10,
        filter: str | None = None,
        parameters: dict[str, Any] | None = None,
        include: Sequence[str] = (),
    ) -> Answer:
        """The same list for everybody; `window_seconds` is ignored by "latest"."""
        return self._likeness.shelf(which, window_seconds, category, limit, filter, parameters or {}, include)

    def similar(
        self,
        item_id: str,
        limit: int = 10,
        *,
        filter: str | None = None,
        parameters: dict[str, Any] | None = None,
        include: Sequence[str] = (),
    ) -> Answer:
        """Items like an item. Raises RequestError (404) where nothing is known of it."""
        return self._likeness.similar(item_id, limit, filter, parameters or {}, include)

    def similar_users(self, user_id: str, limit: int = 10) -> SimilarUsers:
        """Users of like taste among those who met the same items of late."""
        return self._likeness.similar_users(checked(user_id, "user_id"), limit)

    def audience(self, item_id: str, limit: int = 10) -> SimilarUsers:
        """Users who have not met the item and would like it most, among those who met items like it of late."""
        return self._likeness.audience(item_id, limit)

    def profile(self, item_id: str) -> ItemProfile:
        """What is known of an item. Raises RequestError (404) where that is nothing."""
        return profile(self.finder, self.store, checked(item_id, "item_id"), self._clock())

    def complementary(self, body: Complementary) -> Answer:
        """What goes with a basket: met by the same users (source "co_occurrence"), then what is like it."""
        return self._likeness.complementary(body)

    def rank(self, body: Rank) -> Answer:
        """The given items in the order of the user's taste; ids nobody knows come last, flagged."""
        return self._likeness.rank(body)

    def onboarding(
        self,
        user_id: str,
        limit: int = 5,
        *,
        filter: str | None = None,
        parameters: dict[str, Any] | None = None,
        include: Sequence[str] = (),
    ) -> OnboardingReply:
        """Items to ask a new user about, given what is known of the user already."""
        return self._interview.ask(checked(user_id, "user_id"), limit, filter, parameters or {}, include)

    def answer_onboarding(self, user_id: str, body: Onboarding) -> OnboardingReply:
        """Keeps a user's answers, each in the place of an earlier one of its kind, and gives the next items to ask about.

        Raises:
            StoreError: nothing was kept.
        """
        user_id = checked(user_id, "user_id")
        rejected = []
        if body.answers:
            rejected = self.feedback(self._interview.events(user_id, body.answers), overwrite=True).rejected
        reply = self._interview.ask(user_id, body.limit, body.filter, body.parameters, body.include)
        reply.rejected = rejected
        return reply

    def explain(self, body: Explain) -> Trace:
        """Why an item is, or is not, on a user's list: its way through every stage."""
        return explain(body, self._desk, self._live.view, self._clock())

    def compare(self, body: CompareBody, keys: Sequence[Key | None], others: Mapping[Key, Bench | Exception]) -> ComparedReply:
        """What several versions answer to one request; `others` are those that `beside` gave. Nothing is kept."""
        return compare(body, keys, others, self._desk, self._live.view, self.settings.history_length)

    # scenarios
    def check_rules(self, rules: Rules) -> Checked:
        """How rules stand with the catalogue."""
        return check(rules, self._desk, self._live.view, self._clock())

    def preview(self, name: str, rules: Rules, body: PreviewBody) -> PreviewReply:
        """What rules would change of the lists of some users; nothing is kept."""
        view, now = self._live.view, self._clock()
        return preview(name, self.scenarios.get(name), rules, body, self._desk, view, self.store, now)

    def pipeline(
        self, scenario: str | None, times: Mapping[str, tuple[float, int]], draft: Rules | None = None
    ) -> PipelineReply:
        """The stages of a list under a scenario, or a draft of it; `times` are the seconds that each took, and in how many batches."""
        rules = None if scenario is None else self.scenarios.get(scenario)
        if scenario is not None and draft is not None:
            rules = InForce(scenario, 1 + (0 if rules is None else rules.version), draft)
        words = None if self.language is None else f"a language model ({self.language.settings.kind})"
        view, now = self._live.view, self._clock()
        return pipeline(scenario, rules, self._desk, view, self.settings, times, now, words, draft is not None)

    # words
    @property
    def language(self) -> Language | None:
        """The language model, if there is one."""
        return self._voice.language

    def waits_for_words(self, request: Recommend) -> bool:
        """Whether a request waits for the language model, so that it is not to be in a batch with others."""
        return self._voice.wanted(request)

    def summary(self, user_id: str) -> Summary:
        """A user's taste in words. Raises RequestError (404) where nothing is known of it."""
        return self._voice.summary(user_id, self._likeness.met(checked(user_id, "user_id")), self._live.view)

    def tags(self, item_id: str) -> Tags:
        """Words that help to find an item. Raises RequestError (404) where nothing is known of it."""
        view = self._live.view
        return self._voice.tags(self._likeness.known(view, item_id), view)

    def refresh(self) -> bool:
        """Does now what the following threads do every second; whether the catalogue or a scenario had changed."""
        changed = self._live.refresh()
        self._live.acquaint()
        while self._live.encode():
            pass
        self._shelves.refresh()
        while self.outcomes.refresh():
            pass
        self._count()
        self._interview.prepare()
        return self.scenarios.refresh() or changed

    def _count(self) -> None:
        """Has what rankers want to know of the hour before counted, if it is not."""
        self._crowd.refresh(self._live.view)

    def _forget(self, user_id: str) -> None:
        self.recorder.forget(user_id)
        self._pages.forget(user_id)
        self._desk.last.forget(user_id)
        self._voice.forget(user_id)
        self.beside.forget(user_id)
        self._live.view.user_codes.pop(user_id, None)

    def _desk_of(self, live: Live, masks: Masks) -> Desk:
        return Desk(
            self.store,
            live,
            self._guard,
            masks,
            self._shelves,
            self._envelopes,
            self.settings,
            self._clock,
            self._voice,
            self.scenarios,
        )

    def _bench(self, recommender: Recommender, version: ModelVersion) -> Bench:
        """Another version over the same catalogue, with counts of its own for its ranker."""
        crowd = Crowd(self.store, self._clock)
        live = Live(self.store, crowd, self.settings.ranker_precision, like=self._live)
        live.swap(recommender, version)
        return Bench(live, self._desk_of(live, Masks(_MASKS_BESIDE)), crowd)

    @staticmethod
    def _one(answers: Sequence[Answer | RequestError]) -> Answer:
        if isinstance(answers[0], RequestError):
            raise answers[0]
        return answers[0]
