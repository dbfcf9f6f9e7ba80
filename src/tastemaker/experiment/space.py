"""Space: which settings are searched, and among what values.

`[tune]` names settings of `[model]` and `[train]`, with a range or a list of choices each:

```toml
[tune]
model.dim = [32, 64, 128]
model.dropout = { low = 0.0, high = 0.5 }
train.learning_rate = { low = 1e-4, high = 1e-2, log = true }
```

Without it those that are known to matter, such as sizes, dropout and the learning rate, are searched around what they would be.
"""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import ValidationError, model_validator

from tastemaker.errors import ConfigError
from tastemaker.models.base import Solvable
from tastemaker.resolve import model_class
from tastemaker.settings import Settings
from tastemaker.train.config import TrainConfig

if TYPE_CHECKING:
    from tastemaker.experiment.config import Config

Choice = bool | int | float | str


class Range(Settings):
    """Numbers from `low` to `high`, both included; whole ones where the setting is whole."""

    low: float
    """the least"""
    high: float
    """the most"""
    log: bool = False
    """equal factors count alike rather than equal steps"""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"low below high, not {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low above 0 where log is set, not {self.low}")
        return self


Space = Mapping[str, Range | tuple[Choice, ...]]
"""What is searched by name, such as "train.learning_rate": a range, or choices."""


def parse_space(tree: Mapping[str, Any], model: type[Settings], solved: bool) -> Space:
    """The `[tune]` section for a model with that `Config`.

    Raises:
        ConfigError: a name is no setting of `[model]` or `[train]` (the nearest is named), a range does not fit the setting or is empty,
            or a value is none that the setting takes.
    """
    known = {f"model.{key}": (model, key) for key in model.model_fields}
    if not solved:
        known |= {f"train.{key}": (TrainConfig, key) for key in TrainConfig.model_fields if key not in _NOT_SEARCHED}
    space: dict[str, Range | tuple[Choice, ...]] = {}
    for name, given in _flat(tree):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"tune.{name!r}, which cannot be searched", expected="a setting of [model] or [train]", hint=hint)
        space[name] = _searched(name, given, *known[name])
    return space


_NOT_SEARCHED = {"refit", "device", "threads", "precision", "validate_every", "seed"}


def _flat(tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """One name such as "a.b" whether it was written as one key or as a table within a table."""
    rows: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping) and "." not in key:
            rows += [(f"{key}.{inner}", one) for inner, one in value.items()]
        else:
            rows.append((key, value))
    return rows


def _searched(name: str, given: Any, section: type[Settings], key: str) -> Range | tuple[Choice, ...]:
    if isinstance(given, Mapping):
        found = Range.parse(given, f"tune.{name}")
        if not _kinds(section, key) & {int, float}:
            raise ConfigError(f"tune.{name}: a range", expected=f"a list of choices, as {name} is no number")
        if int in _kinds(section, key) and not (found.low.is_integer() and found.high.is_integer()):
            raise ConfigError(f"tune.{name}: {found.low} … {found.high}", expected=f"whole numbers, as {name} is one")
        for bound in (found.low, found.high):
            _fits(name, _number(bound, section, key), section, key)
        return found
    if not isinstance(given, list) or len(given) < 2 or not all(isinstance(one, Choice) for one in given):
        raise ConfigError(
            f"tune.{name} = {given!r}", expected="{ low = …, high = … } or a list of two or more numbers, texts or flags"
        )
    for one in given:
        _fits(name, one, section, key)
    return tuple(given)


def _fits(name: str, value: Any, section: type[Settings], key: str) -> None:
    """Refuses a value that the setting does not take, whatever the others are."""
    try:
        section.model_validate({key: value})
    except ValidationError as error:
        first = error.errors()[0]
        if key in (*first["loc"], "loss", "sampler"):  # what does not fit another setting shows when they meet
            message = first["msg"].removeprefix("Value error, ")
            raise ConfigError(f"tune.{name}: {value!r}", expected=message[:1].lower() + message[1:]) from None


def _kinds(section: type[Settings], key: str) -> set[Any]:
    """The plain types that a setting may have."""
    annotation = section.model_fields[key].annotation
    several = isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union
    return set(typing.get_args(annotation)) if several else {annotation}


def _number(value: float, section: type[Settings], key: str) -> int | float:
    return round(value) if int in _kinds(section, key) else value


def _times(factor: float) -> Callable[[Any], Range | None]:
    """From a `factor`th to `factor` times of what the setting is; nothing where that is nothing."""
    return lambda value: Range(low=value / factor, high=value * factor, log=True) if value else None


def _sizes(value: Any) -> tuple[Choice, ...]:
    return tuple(sorted({max(1, value // 2), value, value * 2}))


def _within(low: float, high: float, *, log: bool = False) -> Callable[[Any], Range]:
    return lambda value: Range(low=low, high=high, log=log)


_MODEL: dict[str, Callable[[Any], Range | tuple[Choice, ...] | None]] = {
    "dim": _sizes,
    "factors": _sizes,
    "blocks": lambda value: (1, 2, 3),
    "layers": lambda value: (1, 2, 3),
    "dropout": _within(0.0, 0.6),
    "temperature": _times(3),
    "neighbours": _times(6),
    "shrinkage": _within(0.0, 200.0),
    "asymmetry": _within(0.0, 0.6),
    "regularization": lambda value: Range(low=(value or 200) / 30, high=(value or 200) * 30, log=True),
    "alpha": _times(8),
    "beta": _within(0.0, 1.0),
    "l1": _times(10),
    "l2": _times(10),
    "half_life_days": _within(3.0, 300.0, log=True),
}
"""What is searched in a model that has a setting of that name, by its present value; choices of words (`weighting`) are all tried."""

_TRAIN: dict[str, Callable[[Any], Range | tuple[Choice, ...] | None]] = {"learning_rate": _times(5), "l2": _times(10)}
_WORDS = ("weighting",)


def default_space(config: Config, *, has_times: bool = True) -> Space:
    """A small space around a resolved config, from the names of settings; empty where none is known.

    Args:
        config: with every open choice made.
        has_times: whether the data has times; without, nothing that counts days is searched.
    """
    space: dict[str, Range | tuple[Choice, ...]] = {}
    sections: list[tuple[str, Settings, dict[str, Any]]] = [("model", config.model, _MODEL)]
    if not issubclass(model_class(config.model_name), Solvable):
        sections.append(("train", config.train, _TRAIN))
    for name, settings, table in sections:
        kind = type(settings)
        for key in kind.model_fields:
            value = getattr(settings, key)
            if key in _WORDS and typing.get_origin(kind.model_fields[key].annotation) is Literal:
                space[f"{name}.{key}"] = typing.get_args(kind.model_fields[key].annotation)
            elif key in table and _kinds(kind, key) & {int, float} and (has_times or not key.endswith("_days")):
                found = table[key](value)
                if isinstance(found, Range):
                    found = _clipped(found, kind, key)
                if (
                    found is not None
                    and (isinstance(found, Range) or len(found) > 1)
                    and _has_effect(config, f"{name}.{key}", found)
                ):
                    space[f"{name}.{key}"] = found
    return space


def _has_effect(config: Config, name: str, found: Range | tuple[Choice, ...]) -> bool:
    """Whether the setting may be given beside those that are given already."""
    try:
        applied(config, {name: found.low if isinstance(found, Range) else found[0]})
    except ConfigError:
        return False
    return True


def _clipped(found: Range, section: type[Settings], key: str) -> Range | None:
    """The range within the bounds that the setting states."""
    low, high = found.low, found.high
    for bound in section.model_fields[key].metadata:
        low = max(low, getattr(bound, "ge", low), getattr(bound, "gt", low))
        high = min(high, getattr(bound, "le", high), getattr(bound, "lt", high))
    if int in _kinds(section, key):
        low, high = math.ceil(low), math.floor(high)
    return Range(low=low, high=high, log=found.log) if low < high else None


def applied(config: Config, values: Mapping[str, Any]) -> Config:
    """The config with other values of some settings.

    Raises:
        ConfigError: the values do not fit each other.
    """
    sections: dict[str, Any] = {}
    for section in ("model", "train"):
        own = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{section}.")}
        before: Settings = getattr(config, section)
        kind = type(before)
        own = {key: _number(value, kind, key) if isinstance(value, float) else value for key, value in own.items()}
        sections[section] = kind.parse(before.model_dump(exclude_unset=True) | own, section)
    return replace(config, **sections)


def drawn(space: Space, rng: np.random.Generator) -> dict[str, Any]:
    """Values drawn at random, two significant digits each."""
    values: dict[str, Any] = {}
    for name, found in space.items():
        if isinstance(found, Range):
            low, high = (math.log(found.low), math.log(found.high)) if found.log else (found.low, found.high)
            value = float(rng.uniform(low, high))
            value = math.exp(value) if found.log else value
            values[name] = min(max(float(f"{value:.2g}"), found.low), found.high)
        else:
            values[name] = found[int(rng.integers(len(found)))]
    return values


def told(space: Space) -> list[str]:
    """A line for each setting that is searched."""
    return [
        f"{name}  {found.low:g} … {found.high:g}{', by factors' if found.log else ''}"
        if isinstance(found, Range)
        else f"{name}  {', '.join(map(str, found))}"
        for name, found in space.items()
    ]


def is_whole(config: Config, name: str) -> bool:
    """Whether a setting takes whole numbers."""
    section, _, key = name.partition(".")
    return int in _kinds(type(getattr(config, section)), key)
