"""Compare: one request, asked of several versions by the way of live answers; nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tastemaker.errors import RequestError
from tastemaker.serve.asks import Ask
from tastemaker.serve.beside import Bench, Key
from tastemaker.serve.desk import Desk
from tastemaker.serve.histories import asked_for
from tastemaker.serve.problems import problem
from tastemaker.serve.view import View
from tastemaker.wire.bodies import Answer, ModelName, Recommend, RecommendSession
from tastemaker.wire.compare import CompareBody, Compared, ComparedReply

_CHANGED = RequestError("the version in use changed meanwhile", code="version_changed", status=409, hint="ask again")


def key_of(view: View) -> Key | None:
    """The version that a view answers with."""
    return None if view.version is None else (view.version.name, view.version.version)


def wanted(body: CompareBody, view: View, capacity: int) -> list[Key | None]:
    """The versions asked for, each once; None is whatever is in use.

    Raises:
        RequestError: more besides the one in use than may be held (422).
    """
    keys: list[Key | None] = [*dict.fromkeys((one.name, one.version) for one in body.versions)] or [key_of(view)]
    if sum(key is not None and key != key_of(view) for key in keys) > capacity:
        raise RequestError(
            f"{len(keys)} versions",
            code="too_many_versions",
            expected=f"at most {capacity} besides the one in use",
            hint="`serve.compare_versions` sets how many",
        )
    return keys


def compare(
    body: CompareBody, keys: Sequence[Key | None], others: Mapping[Key, Bench | Exception], desk: Desk, view: View, length: int
) -> ComparedReply:
    """What each version answers; `desk` and `view` are those in use, `others` what may be asked besides.

    `length` is what is read of a history where a model names no length of its own.
    """
    request, current, columns = _request(body), key_of(view), []
    for key in keys:
        model = None if key is None else ModelName(*key)
        column = Compared(
            model=model, in_use=key == current, answer=None, problem=None, loaded_ms=None, reads=None, overlap=None, moves=[]
        )
        asked: Desk | Bench | Exception = desk if column.in_use else others.get(key, _CHANGED) if key is not None else _CHANGED
        if isinstance(asked, Bench):
            column.loaded_ms, column.reads, asked = asked.loaded_ms, asked_for(asked.live.view, length), asked.desk
        elif isinstance(asked, Desk):
            column.reads = asked_for(view, length)
        found = asked if isinstance(asked, Exception) else asked.answer([Ask(request, record=False)])[0]
        if isinstance(found, Answer):
            found.recommendation_id = found.next_cursor = None
            column.answer = found
        else:
            column.problem, _ = problem(found)
        columns.append(column)
    _beside_the_first(columns)
    return ComparedReply(columns=columns, in_use=None if current is None else ModelName(*current))


def overlap(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Items on both lists as a share of the longer list; None where both are empty."""
    longer = max(len(first), len(second))
    return len(set(first) & set(second)) / longer if longer else None


def moves(first: Sequence[str], second: Sequence[str]) -> list[int | None]:
    """By how many ranks each item of the second list stands higher than on the first; None where it is not there."""
    ranks = {item: rank for rank, item in enumerate(first)}
    return [ranks[item] - rank if item in ranks else None for rank, item in enumerate(second)]


def _beside_the_first(columns: Sequence[Compared]) -> None:
    answer = columns[0].answer
    if answer is None:
        return
    first = [one.item_id for one in answer.items]
    for column in columns:
        if column.answer is not None:
            ids = [one.item_id for one in column.answer.items]
            column.overlap, column.moves = overlap(first, ids), moves(first, ids)


def _request(body: CompareBody) -> Recommend:
    if body.events is None:
        return body.request
    fields = {name: getattr(body.request, name) for name in Recommend.__struct_fields__}
    return RecommendSession(**fields, events=body.events)
