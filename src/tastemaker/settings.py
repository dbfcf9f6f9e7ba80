"""Settings: checked, frozen sections; TOML in and out; `a.b=value` overrides. Knows no domain."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from tastemaker.errors import ConfigError


class Settings(BaseModel):
    """Base of every section of a config: frozen, strict about unknown keys, checked when built."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), validate_default=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any], section: str = "") -> Self:
        """Builds the section from plain values; `section` (such as "train") names it in errors.

        Raises:
            ConfigError: a key is unknown (the nearest known one is named), missing, or its value does not fit.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise _explain(error, cls, section) from None


def _explain(error: ValidationError, cls: type[BaseModel], section: str) -> ConfigError:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    where = ".".join([section, *path] if section else path)
    if first["type"] == "extra_forbidden":
        known = sorted(_fields_at(cls, path[:-1]))
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return ConfigError(f"unknown key {where!r}", hint=hint)
    if first["type"] == "missing":
        return ConfigError(f"no value for {where!r}", expected=f"a value for {where!r}", hint="add it to the config")
    message = first["msg"].removeprefix("Value error, ")
    return ConfigError(f"{where} = {first['input']!r}", expected=message[:1].lower() + message[1:])


def _fields_at(cls: type[BaseModel], path: list[str]) -> set[str]:
    for part in path:
        field = cls.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return set()
        cls = inner
    return set(cls.model_fields)


def read_toml(path: Path | str) -> dict[str, Any]:
    """Reads a TOML file. Raises ConfigError when it is missing or not TOML."""
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no file {str(path)!r}", expected="a config file", hint="check the path") from None
    except IsADirectoryError:
        raise ConfigError(f"{str(path)!r} is a folder", expected="a config file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}", hint="see the example in `--help`") from None


def override(tree: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of `tree` with `a.b=value` assignments applied; values are read as TOML, else taken as text."""
    result: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in tree.items()}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(f"{assignment!r}", expected="an override like train.learning_rate=0.001")
        try:
            value = tomllib.loads(f"x = {text}")["x"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        node = result
        for key in keys[:-1]:
            child = node.get(key, {})
            if not isinstance(child, Mapping):
                raise ConfigError(f"{key!r} in {path!r} is not a section", expected="section.key=value")
            node[key] = dict(child)
            node = node[key]
        node[keys[-1]] = value
    return result


def expand(value: Any) -> Any:
    """A tree with `${NAME}` and `${NAME:-default}` in its texts replaced by environment variables.

    Raises:
        ConfigError: a variable is not set and there is no default.
    """
    if isinstance(value, Mapping):
        return {key: expand(one) for key, one in value.items()}
    if isinstance(value, list):
        return [expand(one) for one in value]
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", _variable, value) if isinstance(value, str) else value


def _variable(match: re.Match[str]) -> str:
    name, default = match.groups()
    value = os.environ.get(name) or default
    if value is None:
        raise ConfigError(
            f"{match.group()}, but the environment variable {name} is not set",
            hint=f"export {name}=…, or write ${{{name}:-a default}}",
        )
    return value


def to_toml(tree: Mapping[str, Any]) -> str:
    """TOML of a tree of sections, plain values, lists and tables; None is left out."""
    lines: list[str] = []
    for name, values in tree.items():
        lines.append(f"[{name}]")
        lines += [f"{_key(key)} = {_literal(value)}" for key, value in values.items() if value is not None]
        lines.append("")
    return "\n".join(lines)


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_literal(one)}" for key, one in value.items() if one is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_literal(one) for one in value)}]"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)  # ints and floats, inf and nan included, read alike in TOML and Python


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON lets DEL stand, TOML does not
