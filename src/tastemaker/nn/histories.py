"""Histories among the fields of rows: which they are, and which of their events are read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.ragged import Packing


@dataclass(frozen=True)
class History:
    """A sequence of things like the candidate."""

    name: str
    bag: int
    """its place among `Rows.bags`"""
    target: int
    """the candidate's place among `Rows.codes`"""


@dataclass(frozen=True, eq=False)
class Past:
    """The history of each row of a batch, packed, and the row's candidate."""

    codes: Tensor
    """int32 (events,): rows of the table of field vectors, oldest first"""
    offsets: Tensor
    """int64 (rows + 1,)"""
    target: Tensor
    """float32 (rows, dim): the candidate's vector"""

    def newest(self, count: int) -> Past:
        """The newest `count` events of each row."""
        places, offsets = newest(self.offsets, count)
        return self if places is None else Past(self.codes.index_select(0, places), offsets, self.target)


def find_histories(schema: RowSchema, names: tuple[str, ...] = (), *, but: tuple[str, ...] = ()) -> tuple[History, ...]:
    """The sequences of these names; without names, all that share a category's vocabulary, except `but`.

    Raises:
        ConfigError: a name is not of such a sequence, or there is none.
    """
    many, categories = schema.of("bag", "sequence"), [field.name for field in schema.of("category")]
    known = {
        field.name: History(field.name, place, categories.index(field.shares))
        for place, field in enumerate(many)
        if field.kind == "sequence" and field.shares is not None
    }
    hint = '[features.fields] history = { kind = "sequence", shares = "item" }'
    if not (wanted := names or tuple(name for name in known if name not in but)):
        raise ConfigError("no history", expected="a sequence that shares a category's vocabulary", hint=hint)
    for name in wanted:
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "a sequence that shares a category's vocabulary"
            raise ConfigError(f"model.history: {name!r}", expected=expected, hint=hint)
    return tuple(known[name] for name in wanted)


def newest(offsets: Tensor, count: int, among: Tensor | None = None) -> tuple[Tensor | None, Tensor]:
    """The newest `count` events of each row, of those `among`, bool (events,): their places, oldest first, and their offsets.

    Places are int64 (kept,), or None where all events are kept.
    """
    bounds = offsets.cpu().numpy()
    lengths = np.diff(bounds)
    if among is None:
        if lengths.max(initial=0) <= count:
            return None, offsets
        kept = np.minimum(lengths, count)
        ends = np.cumsum(kept)
        places = np.arange(ends[-1]) + np.repeat(bounds[1:] - ends, kept)
    else:
        places = np.flatnonzero(among.cpu().numpy())
        counts = np.diff(np.searchsorted(places, bounds))
        kept, ends = np.minimum(counts, count), np.cumsum(counts)
        if counts.max(initial=0) > count:
            places = places[np.repeat(ends, counts) - np.arange(len(places)) <= count]
        ends = np.cumsum(kept)
    fresh = np.concatenate([[0], ends]).astype(np.int64)
    return torch.from_numpy(places).to(offsets.device), torch.from_numpy(fresh).to(offsets.device)


def highest(offsets: Tensor, count: int, scores: Tensor) -> tuple[Tensor | None, Tensor]:
    """The `count` events of each row with the highest scores, float (events,): their places and offsets, as of `newest`.

    Which are kept of several with the same score is not said.
    """
    lengths = offsets.diff()
    if not len(scores) or int(lengths.max()) <= count:
        return None, offsets
    packing = Packing.of(offsets)
    kept = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
    sizes = [group.slots for group in packing.groups]
    parts = zip(packing.to_slots.split(sizes), scores.index_select(0, packing.to_slots).split(sizes), strict=True)
    for group, (tokens, part) in zip(packing.groups, parts, strict=True):
        if group.length > count:
            part = part.view(group.rows, group.length)
            if group.real is not None:
                part = part.masked_fill(~group.real, -torch.inf)
            best = torch.zeros_like(part, dtype=torch.bool)
            best.scatter_(1, part.topk(count, dim=1, sorted=False).indices, True)
            tokens = tokens[(best if group.real is None else best & group.real).flatten()]
        kept[tokens] = True
    return kept.nonzero().squeeze(1), torch.cat([offsets[:1], lengths.clamp(max=count).cumsum(0)])
