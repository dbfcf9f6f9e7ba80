"""What a model needs to know about the data to be built: FeatureSchema for retrieval, RowSchema for ranking."""

from __future__ import annotations

from dataclasses import dataclass

from tastemaker.data.item_contents import ContentSchema


@dataclass(frozen=True)
class FeatureSchema:
    """Sizes of the code spaces, PAD (0) and UNKNOWN (1) included."""

    num_users: int
    num_items: int
    content: ContentSchema | None = None
    """vectors of what items are, where models are told of them"""


@dataclass(frozen=True)
class FieldSchema:
    """What a ranker needs to know of one field."""

    name: str
    kind: str
    """"category", "bag" (many values, in no order), "sequence" (many values, oldest first), "number" or "vector" """
    size: int
    """of a category, bag or sequence: codes, missing (0) and unknown (1) included; of a vector: its length; of a number: 1"""
    shares: str | None = None
    """the category field whose codes, and hence vectors, these are"""
    parts: tuple[str, ...] = ()
    """of a cross: the category fields whose combinations its codes are"""


@dataclass(frozen=True)
class RowSchema:
    """What a ranker needs to know of labelled rows to be built."""

    fields: tuple[FieldSchema, ...]
    outputs: tuple[str, ...] = ("label",)
    """a logit each: the labels, or the classes of one label"""

    def of(self, *kinds: str) -> tuple[FieldSchema, ...]:
        """The fields of these kinds, in order."""
        return tuple(field for field in self.fields if field.kind in kinds)
