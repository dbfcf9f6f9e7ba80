"""Catalogue: the models and encoders there are, in their own words."""

from __future__ import annotations

import inspect
import re
from typing import Any, TypedDict

from tastemaker.experiment.fit import is_solved
from tastemaker.resolve import encoder_class, encoder_names, model_class, model_names, ranker_class, ranker_names

_SOURCE = re.compile(r"((?:[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)?(?:, | & | and )?)+(?: et al\.)?,? ?\(?(?:19|20)\d\d)")


class ModelRow(TypedDict):
    """What is told of a model."""

    name: str
    learns_from: str
    summary: str
    source: str
    """the first publication that its docstring names, "" for none"""


class EncoderRow(TypedDict):
    """What is told of an encoder."""

    name: str
    reads: str
    summary: str
    source: str
    """as of a model"""


def encoders() -> list[EncoderRow]:
    """All encoders by name."""
    rows: list[EncoderRow] = []
    for name in encoder_names():
        kind = encoder_class(name)
        rows.append({"name": name, "reads": kind.reads, **_words(kind)})
    return rows


def catalogue() -> list[ModelRow]:
    """All retrieval models by name, then all rankers."""
    rows: list[ModelRow] = []
    for name in (*model_names(), *ranker_names()):
        ranks = name in ranker_names()
        kind = ranker_class(name) if ranks else model_class(name)
        rows.append(
            {
                "name": name,
                "learns_from": "labelled rows" if ranks else "counts, in one step" if is_solved(kind) else kind.learns_from,
                **_words(kind),
            }
        )
    return rows


class _Words(TypedDict):
    summary: str
    source: str


def _words(kind: Any) -> _Words:
    module = inspect.getmodule(kind)
    first = (inspect.getdoc(module) or "").split("\n")[0]
    found = _SOURCE.search(" ".join((inspect.getdoc(kind) or "").split()))
    return {"summary": first.rstrip("."), "source": found.group(1).replace("(", "") if found else ""}
