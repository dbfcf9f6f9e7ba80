"""Catalogue: the models there are, in their own words."""

from __future__ import annotations

import inspect
import re
from typing import TypedDict

from tastemaker.experiment.fit import is_solved
from tastemaker.resolve import model_class, model_names

_SOURCE = re.compile(r"((?:[A-Z][\w'’-]+(?: [A-Z][\w'’-]+)?(?:, | & | and )?)+(?: et al\.)?,? ?\(?(?:19|20)\d\d)")


class ModelRow(TypedDict):
    """What is told of a model."""

    name: str
    learns_from: str
    summary: str
    source: str
    """the first publication that its docstring names, "" for none"""


def catalogue() -> list[ModelRow]:
    """All models, by name."""
    rows: list[ModelRow] = []
    for name in model_names():
        kind = model_class(name)
        module = inspect.getmodule(kind)
        first = (inspect.getdoc(module) or "").split("\n")[0]
        found = _SOURCE.search(" ".join((inspect.getdoc(kind) or "").split()))
        rows.append(
            {
                "name": name,
                "learns_from": "counts, in one step" if is_solved(kind) else kind.learns_from,
                "summary": first.rstrip("."),
                "source": found.group(1).replace("(", "") if found else "",
            }
        )
    return rows
