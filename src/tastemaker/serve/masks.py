"""Masks of what may be recommended: availability and filters, held as long as they are true."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import torch
from torch import Tensor

from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import FilterError
from tastemaker.index.rounded import FEW
from tastemaker.recommend.filters import parse
from tastemaker.serve.rules import Clause
from tastemaker.serve.view import View

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Gate:
    """What may be recommended under a filter at a time."""

    open: np.ndarray
    """bool (size,)"""
    closed: Tensor
    """bool (size,): its complement"""
    candidates: int
    filtered_rule: int
    """available, but not under the filter"""
    unavailable: int
    """hidden, deleted, not yet or no longer available"""
    few: np.ndarray | None
    """int64 (candidates,): the codes that are open, where they are few"""

    @classmethod
    def of(cls, mask: np.ndarray, available: int) -> Gate:
        """The gate that opens where a mask, bool (size,), holds; `available` of the items could be shown without a filter."""
        candidates = int(mask.sum())
        few = np.flatnonzero(mask) if candidates <= FEW * len(mask) else None
        return cls(mask, torch.from_numpy(~mask), candidates, available - candidates, len(mask) - FIRST - available, few)


class _Recent(Generic[T]):
    """The last used values, a number of them at most."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: OrderedDict[Any, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> T | None:
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def put(self, key: Any, value: T) -> None:
        with self._lock:
            self._held[key] = value
            while len(self._held) > self._capacity:
                self._held.popitem(last=False)


class Masks:
    """Gates and filter masks, the least used ones dropped."""

    def __init__(self, capacity: int) -> None:
        """`capacity` is how many of each are held."""
        self._gates: _Recent[Gate] = _Recent(capacity)
        self._masks: _Recent[np.ndarray] = _Recent(capacity)

    def gate(self, view: View, now: int, text: str | None, parameters: Mapping[str, Any], context: Mapping[str, Any]) -> Gate:
        """What may be recommended now under a filter, None for no filter.

        Raises:
            FilterError: the filter does not parse, does not fit the catalogue, or lacks a parameter.
        """
        return self.gate_of(view, now, () if text is None else (Clause(text, parameters),), context)

    def gate_of(self, view: View, now: int, clauses: Sequence[Clause], context: Mapping[str, Any]) -> Gate:
        """What may be recommended now under several filters, all of which have to hold. Raises as `gate`."""
        opening, available_mask = view.open_at(now)
        keys = [self._key(clause.text, clause.parameters, context) for clause in clauses]
        key = (view.number, opening.since, keys[0] if len(keys) == 1 else tuple(keys))
        found = self._gates.get(key)
        if found is None:
            mask = available_mask
            for clause in clauses:
                mask = mask & self.matching_of(view, clause, context)
            found = Gate.of(mask, int(available_mask.sum()))
            self._gates.put(key, found)
        return found

    def matching_of(self, view: View, clause: Clause, context: Mapping[str, Any]) -> np.ndarray:
        """As `matching`."""
        return self.matching(view, clause.text, clause.parameters, context)

    def matching(self, view: View, text: str, parameters: Mapping[str, Any], context: Mapping[str, Any]) -> np.ndarray:
        """The items a filter holds for, bool (size,).

        Raises:
            FilterError: as `gate`.
        """
        key = (view.number, self._key(text, parameters, context))
        found = self._masks.get(key)
        if found is None:
            found = parse(text).mask(view.stock.columns, parameters, context)[view.rows]
            self._masks.put(key, found)
        return found

    def _key(self, text: str, parameters: Mapping[str, Any], context: Mapping[str, Any]) -> Any:
        """The filter and the values it reads, so that values it does not read make no mask of their own."""
        given = {name: parameters.get(name) for name in parse(text).parameters} if parameters else {}
        around = context if "context." in text else {}
        if not given and not around:
            return text
        try:
            return text, msgspec.json.encode([given, around], order="sorted")
        except (TypeError, ValueError, UnicodeError):
            raise FilterError(
                "parameters that are no JSON", code="filter_bad_parameter", expected="text, numbers or flags"
            ) from None


def everything(view: View) -> Gate:
    """The gate that nothing is behind."""
    mask = np.ones(view.size, bool)
    return Gate(mask, torch.from_numpy(~mask), view.size - FIRST, 0, 0, None)
