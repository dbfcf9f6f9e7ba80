"""A schema with every kind of field, and rows of it, for tests of what a ranker computes."""

from __future__ import annotations

import pytest
import torch

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.nn.rows import Rows

FIELDS = (
    FieldSchema("user", "category", 9),
    FieldSchema("item", "category", 12),
    FieldSchema("tags", "bag", 6),
    FieldSchema("seen", "sequence", 12, shares="item"),
    FieldSchema("age", "number", 1),
    FieldSchema("text", "vector", 3),
)


@pytest.fixture
def schema() -> RowSchema:
    """Six fields, one label."""
    return RowSchema(FIELDS)


@pytest.fixture
def two_labels() -> RowSchema:
    """The same fields, two labels."""
    return RowSchema(FIELDS, ("click", "buy"))


@pytest.fixture
def rows() -> Rows:
    """Seven rows; the last lacks everything."""
    draw = torch.Generator().manual_seed(3)
    codes = torch.stack([torch.randint(0, size, (7,), generator=draw) for size in (9, 12)], dim=1).int()
    numbers, text = torch.randn(7, 1, generator=draw), torch.randn(7, 3, generator=draw)
    codes[-1], numbers[-1], text[-1] = 0, float("nan"), float("nan")
    offsets = torch.tensor([0, 2, 3, 3, 6, 8, 9, 9])
    bags = tuple((torch.randint(0, size, (9,), generator=draw).int(), offsets) for size in (6, 12))
    return Rows(codes, numbers, (text,), bags)
