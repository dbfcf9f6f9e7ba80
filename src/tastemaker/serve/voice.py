"""Voice: what a language model has to say on the way to an answer, and what is said where it has nothing to say.

| asked for | with the model's answer | without it |
|---|---|---|
| `rerank: language` | the best candidates in its order | in the order they had; "degraded", `language_REASON` |
| `include: explanations` | a sentence for each item | the reasons in words; warning `language_REASON` |
| a user's summary | two sentences | what was chosen of late |
| an item's tags | words | its categories |

Pages after the first do without: what comes on them is what was left over, and they do not wait in threads of their own.

What leaves the service, for an endpoint: titles and categories of items, those of a user's history among them; never an id of a user.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tastemaker.recommend.language import Language, Question
from tastemaker.recommend.language.prompts import title_of
from tastemaker.serve.asks import Row
from tastemaker.serve.reasons import reasons_of
from tastemaker.serve.view import View
from tastemaker.wire.bodies import Because, Recommend, Summary, Tags

EXPLANATIONS = "explanations"
_NEWEST = 3
"""Items that a summary without a model names."""


class Voice:
    """Speaks for rows; safe to use from several threads, never from an event loop."""

    def __init__(self, language: Language | None) -> None:
        """None: there is no language model, and what is asked of one is answered without."""
        self.language = language
        self.skipped: Callable[[str, str, int], object] = lambda stage, reason, requests: None
        """told for how many requests the model was left out, and why"""

    def wanted(self, request: Recommend) -> bool:
        """Whether a request is to wait for the language model."""
        if self.language is None:
            return False
        return request.rerank is not None or (self.language.writes and EXPLANATIONS in request.include)

    def depth(self, row: Row) -> int:
        """Candidates that the model wants to see for a row; 0 where it is not asked."""
        return self.language.settings.candidates if self.language is not None and self._reranks(row) else 0

    def order(self, rows: Sequence[Row], view: View, codes: np.ndarray) -> None:
        """Gives rows that ask for it an order of their best candidates, int32 (rows, depth); once, however deep they look later."""
        asking = [(row, found[found > 0].tolist()) for row, found in zip(rows, codes, strict=True) if self._asks(row)]
        if self.language is None:
            for row, _ in asking:
                row.warn("language_unavailable")
            return
        if not asking:
            return
        language, most = self.language, self.language.settings.candidates
        questions = [Question(self._history(row, view), self._told(found[:most], view), row.user) for row, found in asking]
        answers = language.orders(questions, self._seconds([row for row, _ in asking]))
        for (row, found), answer in zip(asking, answers, strict=True):
            row.order = [found[place] for place in answer.places] if not answer.problem else []
            if answer.problem:
                self._left_out(row, answer.problem)
                row.degrade(f"language_{answer.problem}")

    def explain(self, rows: Sequence[Row], view: View) -> None:
        """Puts the reasons of lists that ask for it into words."""
        for row in rows:
            if EXPLANATIONS not in row.request.include or not row.codes:
                continue
            reasons, language = reasons_of(row, view), self.language
            row.explanations = {code: in_words(reasons.get(code, []), view) for code in row.codes}
            if language is None or not language.writes or not row.past.codes or row.ask.before:
                continue
            if row.ask.quiet:
                row.warn("language_full")
                continue
            told = self._told(row.codes, view)
            found, problem = language.reasons(self._history(row, view), told, self._seconds([row]), owner=row.user)
            row.explanations |= {row.codes[place]: text for place, text in found.items()}
            if problem:
                self._left_out(row, problem)
                row.warn(f"language_{problem}")

    def summary(self, user_id: str, codes: Sequence[int], view: View) -> Summary:
        """A user's taste, by what they chose, oldest first."""
        if self.language is not None and self.language.writes:
            newest = codes[-self.language.settings.history :]
            text = self.language.summary(self._told(newest, view), owner=user_id)
            if text is not None:
                return Summary(user_id=user_id, text=text, source="language")
        return Summary(user_id=user_id, text=_summary(codes, view), source="template")

    def tags(self, code: int, view: View) -> Tags:
        """Words for an item."""
        if self.language is not None and self.language.writes:
            found = self.language.tags(self._told([code], view)[0])
            if found:
                return Tags(item_id=view.ids[code], tags=found, source="language")
        return Tags(item_id=view.ids[code], tags=list(view.item(code).categories), source="categories")

    def forget(self, user_id: str) -> None:
        """Drops what was said of a user."""
        if self.language is not None:
            self.language.forget(user_id)

    def _reranks(self, row: Row) -> bool:
        return row.request.rerank is not None and not row.ask.before

    def _asks(self, row: Row) -> bool:
        if not self._reranks(row) or row.order is not None or not row.past.codes:
            return False
        if row.ask.quiet and self.language is not None:
            row.order = []
            self._left_out(row, "full")
            row.degrade("language_full")
            return False
        return True

    def _seconds(self, rows: Sequence[Row]) -> float:
        assert self.language is not None
        left = min(row.deadline for row in rows) - time.perf_counter()
        return max(0.0, min(self.language.settings.budget_ms / 1000, left))

    def _history(self, row: Row, view: View) -> list[str]:
        assert self.language is not None
        return self._told(row.past.codes[-self.language.settings.history :], view)

    def _told(self, codes: Sequence[int], view: View) -> list[str]:
        assert self.language is not None
        return [self.language.described(view.properties(code), view.ids[code]) for code in codes]

    def _left_out(self, row: Row, reason: str) -> None:
        self.skipped("language", reason, 1)


def dealt(row: Row, codes: np.ndarray) -> np.ndarray:
    """The candidates with those that have an order from the language model in it, on the places that they have together.

    Scores stay where they are: who is put first gets the best of them, for the stages that follow.
    """
    if not row.order:
        return codes
    place = {code: place for place, code in enumerate(row.order)}
    places = [at for at, code in enumerate(codes.tolist()) if code in place]
    dealt_out = codes.copy()
    dealt_out[places] = sorted(codes[places].tolist(), key=place.__getitem__)
    return dealt_out


def in_words(reasons: Sequence[Because], view: View) -> str:
    """Reasons as people read them."""
    kind = reasons[0].kind if reasons else "none"
    names = [_name(one.item_id, view) for one in reasons if one.item_id is not None and one.kind == kind][:2]
    if kind in ("because_of", "like") and names:
        return f"{'because of' if kind == 'because_of' else 'like'} {' and '.join(names)}"
    return {"popular": "popular with others", "pin": "picked for you", "cached": "recommended to you before"}.get(
        kind, "chosen by your history"
    )


def _summary(codes: Sequence[int], view: View) -> str:
    newest = list(dict.fromkeys(reversed(codes)))[:_NEWEST]
    names = [title_of(view.properties(code), view.ids[code]) for code in newest]
    text = f"Lately chose {', '.join(names[:-1])} and {names[-1]}." if len(names) > 1 else f"Lately chose {names[0]}."
    kinds = Counter(kind for code in codes for kind in view.item(code).categories)
    often = [kind for kind, count in kinds.most_common(2) if 2 * count >= len(codes)]
    return f"{text} Mostly {' and '.join(often)}." if often else text


def _name(item_id: str, view: View) -> str:
    code = view.code(item_id)
    return item_id if code is None else title_of(view.properties(code), item_id)
