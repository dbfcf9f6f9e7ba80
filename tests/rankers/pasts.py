"""Rows with histories, made by hand."""

from __future__ import annotations

import numpy as np
import torch

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker

ITEM = FieldSchema("item", "category", 12)
SCHEMA = RowSchema((FieldSchema("user", "category", 6), ITEM, FieldSchema("history", "sequence", 12, "item")))


def packed(lists: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    return torch.tensor([code for one in lists for code in one], dtype=torch.int32), torch.from_numpy(offsets.astype(np.int64))


def rows(items: list[int], *histories: list[list[int]], users: list[int] | None = None) -> Rows:
    """Rows of the schema: a candidate each, and a history each, oldest first."""
    codes = torch.tensor([users or [2] * len(items), items], dtype=torch.int32).T.contiguous()
    return Rows(codes, torch.zeros(len(items), 0), (), tuple(packed(history) for history in histories))


def drawn(kind: type[Ranker], schema: RowSchema = SCHEMA, **settings: object) -> Ranker:
    """A ranker in evaluation mode whose weights are large enough for every part to count."""
    torch.manual_seed(0)
    ranker = kind(kind.Config(**{"dim": 4, "hidden": (8,), "init": 0.5} | settings), schema)
    with torch.no_grad():
        for weight in ranker.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return ranker.eval()


def said(ranker: Ranker, asked: Rows) -> torch.Tensor:
    with torch.no_grad():
        return ranker(asked)
