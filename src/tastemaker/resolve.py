"""From a name in a config to the model class in the file of that name: the only dynamic import."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import Any

from tastemaker.errors import ConfigError


def model_names() -> list[str]:
    """The names usable as `[model] name`: the files of `tastemaker/models`, sorted."""
    package = importlib.import_module("tastemaker.models")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name != "base")


def model_class(name: str) -> Any:
    """The model class of a name: the one public `Model` subclass its file defines.

    Raises:
        ConfigError: there is no such model; names the nearest.
    """
    known = model_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`tastemaker models` lists them"
        raise ConfigError(f"model {name!r}", expected=f"one of {', '.join(known)}", hint=hint)
    base = importlib.import_module("tastemaker.models.base").Model
    module = importlib.import_module(f"tastemaker.models.{name}")
    (found,) = (
        value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    )
    return found
