"""Candidates: the models that are worth trying on given data, and what is looked at to say so."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tastemaker.data.dataset import Dataset
from tastemaker.data.splits import Split
from tastemaker.experiment.baselines import EASE_ITEMS, GRIDS
from tastemaker.experiment.fit import is_solved
from tastemaker.resolve import model_class


@dataclass(frozen=True)
class Look:
    """What is seen of the training side before anything is tried."""

    users: int
    """with an event"""
    items: int
    """with an event"""
    events: int
    per_user: float
    """median of the users' events"""
    per_item: float
    """median of the items' events"""
    density: float
    """share of the pairs of a user and an item that met"""
    repeats: float
    """share of the events that a user did with an item not for the first time"""
    ordered: bool
    """whether it is known what came after what"""
    values: bool
    """whether events have values, such as ratings"""
    kinds: int
    """of behaviour"""
    content: tuple[str, ...]
    """columns of the catalogue"""

    @classmethod
    def at(cls, dataset: Dataset, split: Split) -> Look:
        """Looks at the training side of a split."""
        rows = split.train
        by_user, by_item = np.bincount(rows.user), np.bincount(rows.item)
        by_user, by_item = by_user[by_user > 0], by_item[by_item > 0]
        pairs = len(np.unique(rows.user.astype(np.int64) * dataset.items.size + rows.item))
        return cls(
            users=len(by_user),
            items=len(by_item),
            events=len(rows),
            per_user=float(np.median(by_user)),
            per_item=float(np.median(by_item)),
            density=round(pairs / (len(by_user) * len(by_item)), 6),
            repeats=round(1 - pairs / len(rows), 4),
            ordered=rows.has_times or split.ordered,
            values=bool((rows.value != rows.value[0]).any()),
            kinds=len(np.unique(rows.kind)),
            content=tuple(dataset.catalogue.column_names),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"content": list(self.content)}

    def to_text(self) -> str:
        """A line for people."""
        order = "in order" if self.ordered else "in no order"
        values = ", with values" if self.values else ""
        content = f"; the catalogue tells {', '.join(self.content)}" if self.content else "; no catalogue"
        return (
            f"{self.users:,} users and {self.items:,} items, {self.events:,} events {order}{values}: {self.per_user:g} of a middling user, "
            f"{self.per_item:g} of a middling item, {self.density:.2%} of all pairs, {self.repeats:.0%} repeats{content}"
        )


@dataclass(frozen=True)
class Candidate:
    """A model, up to what size it is tried, and the settings it is tried with at first."""

    name: str
    most_items: float = math.inf
    most_users: float = math.inf
    settings: tuple[dict[str, Any], ...] = ({},)

    @property
    def solved(self) -> bool:
        """Whether it is fitted in one step."""
        return is_solved(model_class(self.name))

    def reason_against(self, look: Look) -> str:
        """Why it is not tried on such data; "" where it is. What a model needs is what it says it learns from."""
        if look.items > self.most_items:
            return f"{look.items:,} items are more than the {self.most_items:,.0f} it is meant for"
        if look.users > self.most_users:
            return f"{look.users:,} users are more than the {self.most_users:,.0f} it is meant for"
        if model_class(self.name).needs_catalogue and not look.content:
            return "nothing is known of the items but their events"
        if model_class(self.name).learns_from == "sequences":
            if not look.ordered:
                return "the events are in no order"
            if look.per_user < 2:
                return "most users have one event, which is no sequence"
        return ""

    def grid(self, has_times: bool) -> list[dict[str, Any]]:
        """The first settings, less those that count days where there are no times."""
        return [one for one in self.settings if has_times or not {"window_days", "half_life_days"} & set(one)]


CANDIDATES = (
    Candidate("popularity", settings=tuple(GRIDS["popularity"])),
    Candidate("item_knn", settings=tuple(GRIDS["item_knn"])),
    Candidate("ease", most_items=EASE_ITEMS, settings=tuple(GRIDS["ease"])),
    Candidate("edlae", most_items=EASE_ITEMS),
    Candidate("bspm", settings=({}, {"factors": 64, "solver": "euler", "sharpening_time": 1.0})),
    Candidate("content_knn"),
    Candidate("user_knn", most_users=200_000, settings=({}, {"neighbours": 50})),
    Candidate("als", settings=({}, {"alpha": 5.0, "regularization": 30.0})),
    Candidate("mf"),
    Candidate("sasrec"),
    Candidate("gru4rec", settings=({"similarity": "cosine"},)),
)
"""What `--auto` tries, in this order: simple ones first. A model joins by a line here."""

IMPERSONAL = ("popularity",)
"""Those that say the same to everybody: they set a mark and may be part of a blend, but are not chosen alone."""
