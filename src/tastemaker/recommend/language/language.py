"""Language: a question to a language model, bounded by time and money; what has no answer in time does without.

```
question ─▶ held? ─▶ asked already? ─▶ left alone? ─▶ budget? ─▶ room? ─▶ call, in a thread ─▶ read ─▶ held
               │            └── wait for it ──┐                                 │
               └───────────────────▶ answer ◀─┴── until the deadline, then "late": what comes after it is held for the next time
```
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from tastemaker.log import logger
from tastemaker.recommend.held import Held
from tastemaker.recommend.language import prompts, replies
from tastemaker.recommend.language.budget import Budget
from tastemaker.recommend.language.closeness import Closeness
from tastemaker.recommend.language.endpoint import Endpoint
from tastemaker.recommend.language.local import Local
from tastemaker.recommend.language.prompts import Prompt
from tastemaker.recommend.language.replies import Read
from tastemaker.recommend.language.settings import LanguageSettings
from tastemaker.recommend.language.speaker import NoAnswerError, Speaker
from tastemaker.recommend.language.tally import Tally

_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Ordered:
    """The order of some candidates."""

    places: tuple[int, ...]
    """of all candidates, from 0, the best first"""
    problem: str = ""
    """why it is the order they had: late, budget, paused, full, failed, refused, busy, slow, unreadable, too_long"""


@dataclass(frozen=True)
class Question:
    """Whose candidates are to be put in order."""

    history: Sequence[str]
    """items the user chose, oldest first, as `Language.described`; the newest are told"""
    candidates: Sequence[str]
    """items, best first so far, as `Language.described`"""
    owner: str | None = None
    """whose history it is, for `Language.forget`"""


@dataclass(frozen=True)
class _Outcome:
    read: Read | None
    problem: str


@dataclass(frozen=True)
class _Begun:
    task: str
    found: _Outcome | Future[_Outcome]
    held: bool = False


class Language:
    """What a language model is asked. Safe to use from several threads; never from an event loop, since it waits."""

    def __init__(
        self,
        settings: LanguageSettings,
        speaker: Speaker | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        patient: bool = False,
    ) -> None:
        """Makes what `settings` name.

        Args:
            settings: of kind other than off.
            speaker: in place of what they name.
            clock: seconds, of budget and pauses.
            patient: whether to wait up to a minute for the budget, or for a model that asked to be left alone, rather than to do
                without: for reports, not for requests.

        Raises:
            ConfigError: an address, a key or a folder cannot be used.
            MissingExtraError: a package is missing.
        """
        self.settings, self.tally, self._clock, self._patient = settings, Tally(), clock, patient
        self._closeness = Closeness(settings) if speaker is None and settings.kind == "encoder" else None
        self._speaker = speaker or _speaker(settings)
        self._budget = Budget(settings.calls_per_minute, settings.calls_per_day, clock)
        self._held: Held[Read] = Held(settings.held, settings.held_seconds, clock)
        self._calls: dict[str, Future[_Outcome]] = {}
        self._lock = threading.Lock()
        self._alone_until = float("-inf")
        self._pace: dict[str, float] = {}
        """seconds of a call, by task, as far as it was seen"""
        self._threads = ThreadPoolExecutor(settings.in_flight, thread_name_prefix="language")

    @classmethod
    def of(cls, settings: LanguageSettings, *, patient: bool = False) -> Language | None:
        """The model that `settings` name; None where they name none. Raises as `Language`."""
        return None if settings.kind == "off" else cls(settings, patient=patient)

    @property
    def writes(self) -> bool:
        """Whether it can put anything into words."""
        return self._speaker is not None

    def described(self, properties: Any, item: str) -> str:
        """An item as it is told to the model, in one harmless line."""
        return prompts.described(properties, self.settings.columns, item, self.settings.title_chars)

    def order(self, history: Sequence[str], candidates: Sequence[str], seconds: float, *, owner: str | None = None) -> Ordered:
        """The order in which a user would choose candidates, within about `seconds`; as `orders`."""
        return self.orders([Question(history, candidates, owner)], seconds)[0]

    def orders(self, questions: Sequence[Question], seconds: float) -> list[Ordered]:
        """The order of each question's candidates; all are asked at once, and together get about `seconds`.

        Candidates beyond `settings.candidates` stay where they are, and so do all of them where there is no answer in time.
        """
        until = time.monotonic() + seconds
        begun = [self._begin_order(one) for one in questions]
        return [self._ordered(one, call, until) for one, call in zip(questions, begun, strict=True)]

    def _begin_order(self, question: Question) -> _Begun | None:
        told, past = self._told(question), list(question.history[-self.settings.history :])
        if len(told) < 2:
            return None
        prompt = prompts.order_prompt(past, told)
        if self._closeness is None:
            return self._say(prompt, lambda text: replies.order_of(text, len(told)), question.owner)
        closeness = self._closeness
        return self._begin(prompt, lambda: Read(closeness.order(past, told)), question.owner, closeness.name, paid=False)

    def _ordered(self, question: Question, begun: _Begun | None, until: float) -> Ordered:
        as_it_was = tuple(range(len(question.candidates)))
        if begun is None:
            return Ordered(as_it_was)
        found = self._end(begun, until)
        if found.read is None:
            return Ordered(as_it_was, found.problem)
        return Ordered((*self._mixed(found.read.value), *as_it_was[len(self._told(question)) :]))

    def _told(self, question: Question) -> list[str]:
        return list(question.candidates[: self.settings.candidates])

    def reasons(
        self, history: Sequence[str], items: Sequence[str], seconds: float, *, owner: str | None = None
    ) -> tuple[dict[int, str], str]:
        """A sentence by place for those of `items` that got a good one, and what was the problem, if any.

        Args:
            history: see `Question`.
            items: what is recommended, as `described`.
            seconds: to wait.
            owner: see `Question`.
        """
        if not items or not self.writes:
            return {}, ""
        until = time.monotonic() + seconds
        told = list(items[: self.settings.candidates])
        prompt = prompts.reasons_prompt(list(history[-self.settings.history :]), told)
        found = self._end(self._say(prompt, lambda text: replies.reasons_of(text, told), owner), until)
        return ({} if found.read is None else dict(found.read.value)), found.problem

    def summary(self, history: Sequence[str], *, owner: str | None = None) -> str | None:
        """A user's taste in at most two sentences; None where there is no answer in time."""
        prompt = prompts.summary_prompt(list(history[-self.settings.history :]))
        until = time.monotonic() + self.settings.text_budget_ms / 1000
        found = self._end(self._say(prompt, replies.summary_of, owner), until)
        return None if found.read is None else found.read.value

    def tags(self, item: str) -> list[str]:
        """Tags of an item; none where there is no answer in time."""
        until = time.monotonic() + self.settings.text_budget_ms / 1000
        found = self._end(self._say(prompts.tags_prompt(item), replies.tags_of, None), until)
        return [] if found.read is None else list(found.read.value)

    def forget(self, owner: str) -> int:
        """Drops what was said of a user; how many replies went."""
        return self._held.forget(owner)

    def close(self) -> None:
        """Waits for calls under way, `call_seconds` at most, and ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._speaker is not None:
            self._speaker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _mixed(self, places: list[int]) -> list[int]:
        """Places of the model, weighed against those the candidates had."""
        weight = self.settings.weight
        mean = {place: weight * new + (1 - weight) * place for new, place in enumerate(places)}
        return sorted(mean, key=lambda place: (mean[place], place))

    def _say(self, prompt: Prompt, read: Callable[[str], Read], owner: str | None) -> _Begun:
        speaker = self._speaker
        if speaker is None:
            return _Begun(prompt.task, _Outcome(None, "silent"))

        def work() -> Read:
            began = time.perf_counter()
            said = speaker.say(prompt, self.settings.call_seconds)
            self.tally.called(prompt.task, time.perf_counter() - began, said.tokens_in, said.tokens_out)
            return read(said.text)

        return self._begin(prompt, work, owner, speaker.name, paid=True)

    def _begin(self, prompt: Prompt, work: Callable[[], Read], owner: str | None, name: str, *, paid: bool) -> _Begun:
        """What is held, a call under way, or why there is none."""
        key = prompt.key(name)
        held = self._held.get(key)
        if held is not None:
            return _Begun(prompt.task, _Outcome(held, ""), held=True)
        return _Begun(prompt.task, self._called(prompt.task, key, work, owner, paid=paid))

    def _end(self, begun: _Begun, until: float) -> _Outcome:
        """What came of a question by a time on the monotonic clock, counted."""
        found = begun.found
        if isinstance(found, Future):
            left = until - time.monotonic()
            try:  # who takes longer than there is time is asked, for the next time, but not waited for
                found = found.result(timeout=0 if self._pace.get(begun.task, 0.0) > left else max(left, 0.0))
            except FutureTimeout:
                found = _Outcome(None, "late")
        outcome = found.problem or ("held" if begun.held else "ok")
        self.tally.answered(begun.task, outcome, None if found.read is None else found.read.faults)
        return found

    def _called(
        self, task: str, key: str, work: Callable[[], Read], owner: str | None, *, paid: bool
    ) -> Future[_Outcome] | _Outcome:
        """A call under way, or why there is none."""
        while True:
            with self._lock:
                under_way = self._calls.get(key)
                if under_way is not None:
                    return under_way
                if (held := self._held.get(key)) is not None:  # it came in between
                    return _Outcome(held, "")
                wait, problem = self._alone_until - self._clock(), "paused"
                if wait <= 0 and len(self._calls) >= self.settings.in_flight and not self._patient:
                    return _Outcome(None, "full")
                if wait <= 0 and (not paid or self._budget.take()):
                    future: Future[_Outcome] = Future()
                    try:
                        self._threads.submit(self._call, task, key, work, owner, future)
                    except RuntimeError:  # closed meanwhile
                        return _Outcome(None, "failed")
                    self._calls[key] = future
                    return future
                if wait <= 0:
                    wait, problem = self._budget.wait_seconds(), "budget"
                if not self._patient or wait > _PATIENCE_SECONDS:
                    return _Outcome(None, problem)
            time.sleep(wait)

    def _call(self, task: str, key: str, work: Callable[[], Read], owner: str | None, future: Future[_Outcome]) -> None:
        began = time.perf_counter()
        try:
            read = work()
            self._held.put(key, read, owner)
            outcome = _Outcome(read, "")
        except NoAnswerError as error:
            outcome = _Outcome(None, error.reason)
            if error.pause_seconds is not None:
                self._leave_alone(error.pause_seconds or self.settings.pause_seconds, error.reason)
        except Exception as error:  # whatever a model may raise: every question has something to fall back on
            logger.error("the language model failed: %s", type(error).__name__, exc_info=error)
            outcome = _Outcome(None, "failed")
            self._leave_alone(self.settings.pause_seconds, type(error).__name__)
        took = time.perf_counter() - began
        self._pace[task] = took if task not in self._pace else 0.7 * self._pace[task] + 0.3 * took
        with self._lock:
            self._calls.pop(key, None)
        future.set_result(outcome)

    def _leave_alone(self, seconds: float, reason: str) -> None:
        with self._lock:
            if self._clock() >= self._alone_until:
                logger.warning("language model left alone for %.1f s: %s", seconds, reason)
            self._alone_until = max(self._alone_until, self._clock() + seconds)


def _speaker(settings: LanguageSettings) -> Speaker | None:
    if settings.kind == "endpoint":
        return Endpoint(settings)
    return Local(settings) if settings.kind == "local" else None
