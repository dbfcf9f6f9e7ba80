"""From a name in a config to the model class in the file of that name: the only dynamic import."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import Any

from tastemaker.errors import ConfigError


def model_names() -> list[str]:
    """The retrieval models usable as `[model] name`: the files of `tastemaker/models`, sorted."""
    return _names("models")


def ranker_names() -> list[str]:
    """The rankers usable as `[model] name`: the files of `tastemaker/rankers`, sorted."""
    return _names("rankers")


def encoder_names() -> list[str]:
    """The encoders usable in `[content]`: the files of `tastemaker/encoders` that define one, sorted."""
    return _names("encoders")


def model_class(name: str) -> Any:
    """The model class of a name: the one public `Model` subclass its file defines.

    Raises:
        ConfigError: there is no such model; names the nearest.
    """
    return _class("models", name, "Model")


def ranker_class(name: str) -> Any:
    """The ranker class of a name: the one public `Ranker` subclass its file defines.

    Raises:
        ConfigError: there is no such ranker; names the nearest.
    """
    return _class("rankers", name, "Ranker")


def encoder_class(name: str) -> Any:
    """The encoder class of a name: the one public `Encoder` subclass its file defines.

    Raises:
        ConfigError: there is no such encoder; names the nearest.
    """
    return _class("encoders", name, "Encoder")


def plugged(path: str, where: str) -> Any:
    """What a text such as "package.module:name" stands for: an object of a module that is installed.

    Args:
        path: the text.
        where: the setting it stands in, for errors.

    Raises:
        ConfigError: there is no such module, or no such name in it.
    """
    module, colon, name = path.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        raise ConfigError(f"{where} = {path!r}", expected='"package.module:name"')
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # a module of others raises what it likes
        told = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{where} = {path!r}: {told}", expected="a module that is installed") from None
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where}: {module!r} has no {name!r}", expected='"package.module:name"', hint=hint)
        found = getattr(found, part)
    return found


def _names(package: str) -> list[str]:
    found = importlib.import_module(f"tastemaker.{package}")
    return sorted(one.name for one in pkgutil.iter_modules(found.__path__) if one.name != "base" and not one.ispkg)


def _class(package: str, name: str, base: str) -> Any:
    known = _names(package)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`tastemaker models` lists them"
        raise ConfigError(f"{base.lower()} {name!r}", expected=f"one of {', '.join(known)}", hint=hint)
    parent = getattr(importlib.import_module(f"tastemaker.{package}.base"), base)
    module = importlib.import_module(f"tastemaker.{package}.{name}")
    (found,) = (
        value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, parent)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    )
    return found
