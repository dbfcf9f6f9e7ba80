"""What is read out of a reply. A model may be wrong, broken or talked into something, so nothing of it is passed on unchecked.

| task | what is taken | what is left out, and counted |
|---|---|---|
| order | labels of candidates, each once; those that are missing follow in the order they had | unknown labels, repeated ones |
| reasons | a sentence for a label | unknown labels, text that is not plain, the names of other items |
| summary | one text | text that is not plain |
| tags | words | tags that are no words, repeated ones, all beyond eight |
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tastemaker.recommend.language.prompts import plain
from tastemaker.recommend.language.speaker import NoAnswerError

REASON_CHARS = 160
SUMMARY_CHARS = 400
TAG_CHARS = 30
TAGS = 8
_LONGEST = 20_000
"""Characters of a reply that are looked at."""

_LABEL = re.compile(r"(?<![A-Za-z0-9])c(\d{1,6})(?![A-Za-z0-9])", re.I)
_LIST = re.compile(r"\[[^\[\]]*\]")
_LINK = re.compile(
    r"://|\bwww\.|\b(?:javascript|data|mailto)\s*:|\]\(|[<>]|&(?:#\w+|[a-z]+);|\w@\w"
    r"|\b[\w-]+\.(?:com|net|org|io|co|app|dev|info|biz|shop|store|xyz|site|online|link|click|top|me|ly|ru|cn|de|uk)\b",
    re.I,
)
_TAG = re.compile(r"[^\W_]+(?:[ '&-][^\W_]+){0,3}")


@dataclass
class Read:
    """A value, and what had to be left out on the way to it."""

    value: Any
    faults: Counter[str] = field(default_factory=Counter)


def order_of(text: str, candidates: int) -> Read:
    """The places of all candidates, from 0, the best first.

    Raises:
        NoAnswerError: there is no label of a candidate in the reply.
    """
    text = _spoken(text)
    lists = [one for one in _LIST.findall(text) if _LABEL.search(one)]
    found, faults = dict[int, None](), Counter[str]()
    for digits in _LABEL.findall(lists[-1] if lists else text):
        place = int(digits) - 1
        if not 0 <= place < candidates:
            faults["unknown"] += 1
        elif place in found:
            faults["repeated"] += 1
        else:
            found[place] = None
    if not found:
        raise NoAnswerError("unreadable")
    faults["missing"] += candidates - len(found)
    return Read([*found, *(place for place in range(candidates) if place not in found)], +faults)


def reasons_of(text: str, items: Sequence[str]) -> Read:
    """A sentence for each place from 0 that has a good one.

    Raises:
        NoAnswerError: the reply is no JSON object.
    """
    told = _json(_spoken(text), "{", "}")
    if not isinstance(told, dict):
        raise NoAnswerError("unreadable")
    found, faults = dict[int, str](), Counter[str]()
    titles = [one.partition(" (")[0].casefold() for one in items]
    for label, sentence in told.items():
        named = _LABEL.fullmatch(label.strip())
        place = int(named[1]) - 1 if named else -1
        if not 0 <= place < len(items):
            faults["unknown"] += 1
            continue
        good = sentence_of(sentence, REASON_CHARS)
        others = (title for other, title in enumerate(titles) if other != place and len(title) > 3 and title != titles[place])
        if good is None:
            faults["not_plain"] += 1
        elif any(title in good.casefold() and title not in titles[place] for title in others):
            faults["other_item"] += 1
        else:
            found[place] = good
    return Read(found, faults)


def summary_of(text: str) -> Read:
    """A text.

    Raises:
        NoAnswerError: it is not plain.
    """
    good = sentence_of(_spoken(text), SUMMARY_CHARS)
    if good is None:
        raise NoAnswerError("unreadable")
    return Read(good)


def tags_of(text: str) -> Read:
    """Lower-case tags.

    Raises:
        NoAnswerError: there is none.
    """
    told = _json(_spoken(text), "[", "]")
    if not isinstance(told, list):
        raise NoAnswerError("unreadable")
    found, faults = dict[str, None](), Counter[str]()
    for one in told:
        tag = plain(one, 2 * TAG_CHARS).casefold() if isinstance(one, str) else ""
        if not tag or len(tag) > TAG_CHARS or not _TAG.fullmatch(tag) or _LABEL.fullmatch(tag):
            faults["not_plain"] += 1
        elif tag in found:
            faults["repeated"] += 1
        elif len(found) == TAGS:
            faults["too_many"] += 1
        else:
            found[tag] = None
    if not found:
        raise NoAnswerError("unreadable")
    return Read(list(found), faults)


def sentence_of(text: Any, most: int) -> str | None:
    """Text as it may be shown: one line without markup, links or labels, cut after a whole sentence; None where it is none."""
    if not isinstance(text, str) or not text.strip() or _LINK.search(text[:_LONGEST]):
        return None
    line = plain(text[:_LONGEST].strip().strip('"“”').removeprefix("- "), _LONGEST)
    if _LINK.search(line) or _LABEL.search(line) or not any(char.isalpha() for char in line):
        return None
    if len(line) > most:
        end = max(line.rfind(stop, 0, most) for stop in (". ", "! ", "? ", "。"))
        if end < 0:
            return None
        line = line[: end + 1]
    return line


def _spoken(text: str) -> str:
    """The reply without what a model thought aloud."""
    return text[:_LONGEST].rpartition("</think>")[2]


def _json(text: str, opening: str, closing: str) -> Any:
    first, last = text.find(opening), text.rfind(closing)
    try:
        return json.loads(text[first : last + 1]) if 0 <= first < last else None
    except (ValueError, RecursionError):
        return None
