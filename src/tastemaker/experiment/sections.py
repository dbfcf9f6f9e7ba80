"""Sections: what the configs of all kinds of runs have in common."""

from __future__ import annotations

import abc
import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tastemaker.errors import ConfigError
from tastemaker.settings import to_toml


class Sections(abc.ABC):
    """A resolved config: a class of settings for each section, and the folder that relative paths start from."""

    model_name: str
    train: Any
    base: Path

    @abc.abstractmethod
    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The resolved tree, defaults included, as plain values. Paths are absolute; passwords in addresses are masked."""

    def to_toml(self) -> str:
        """The resolved tree as TOML: training with it repeats the run."""
        return to_toml(self.to_dict())

    @property
    def hash(self) -> str:
        """16 hex digits that name the resolved tree."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def _tree(self, names: tuple[str, ...], paths: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, Any]]:
        """The named sections as plain values, without what was left open; `paths` are the keys of each that hold paths."""
        tree = self._plain(names, paths)
        tree["model"] = {"name": self.model_name, **tree["model"]}
        return tree

    def _plain(self, names: tuple[str, ...], paths: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, Any]]:
        tree = {name: getattr(self, name).model_dump(mode="json", exclude_none=True) for name in names}
        for section, keys in paths.items():
            tree[section] |= {key: _absolute(tree[section][key], self.base) for key in keys if key in tree[section]}
        return tree


def check_sections(tree: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raises ConfigError for a section that is unknown, naming the nearest, or none at all."""
    for name in tree:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean [{near[0]}]?" if near else f"known sections: {', '.join(known)}"
            raise ConfigError(f"unknown section {name!r}", hint=hint)
        if not isinstance(tree[name], Mapping):
            raise ConfigError(f"{name} = {tree[name]!r}", expected=f"a section [{name}]")


def _absolute(value: Any, base: Path) -> Any:
    """A path made absolute, in lists and tables too; a database's address stays, its password masked."""
    if isinstance(value, list):
        return [_absolute(one, base) for one in value]
    if isinstance(value, dict):
        return {key: _absolute(one, base) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    if "://" in value:
        return re.sub(r"(://[^:/@]*:)[^@/]*@", r"\1***@", value)
    return str(base / value)
