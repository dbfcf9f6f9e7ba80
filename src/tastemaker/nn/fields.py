"""From rows to a vector, or a weight, for each field."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.rows import Rows

_SPARSE_FROM = 200_000
"""Rows of a table from which on gradients hold the touched rows alone: touching all of them each step would cost more."""


class FieldVectors(nn.Module):
    """A vector for each field of each row: float32 (rows, fields, dim), in the order categories, bags and sequences, numbers, vectors.

    A category has a row of a table, "missing" and "unknown" too. A many-valued field is the mean of its values' rows, zero where there
    are none; one that `shares` a category's vocabulary shares its rows. A number x is x·v + b with vectors v and b of the field, or a
    vector of its own where it is missing; a vector is mapped linearly, likewise, and numbers that it lacks count as 0. All categories
    lie in one table, so a row is read in one gather. Fields named in `without` are not read and have no rows, but where a field that is
    read shares them.
    """

    starts: Tensor
    """int32 (categories,): the table row at which each field's codes begin"""
    first: dict[str, int]
    """the same by name, of bags and sequences too, and of fields left out that share another's rows"""

    def __init__(self, schema: RowSchema, dim: int, *, init: float = 0.01, without: tuple[str, ...] = ()) -> None:
        super().__init__()
        if unknown := set(without) - {field.name for field in schema.fields}:
            raise ValueError(
                f"no field {min(unknown)!r} to leave out; expected one of {[field.name for field in schema.fields]}"
            )
        if len(schema.fields) == len(set(without)):
            raise ValueError("every field is left out; expected one or more to read")
        self.without = without
        self.read = [
            [place for place, field in enumerate(schema.of(*kinds)) if field.name not in without]
            for kinds in (("category",), ("number",), ("vector",), ("bag", "sequence"))
        ]
        """places of what is read among the categories, numbers, vectors, and bags and sequences of a row"""
        fields = [field for field in schema.fields if field.name not in without]
        shared = {field.shares for field in fields}
        held = [field for field in schema.of("category") if field.name not in without or field.name in shared]
        sharing = [field for field in schema.of("bag", "sequence") if field.shares]
        schema = RowSchema(tuple(fields), schema.outputs)
        many = schema.of("bag", "sequence")
        place, starts = 0, {}
        for field in (*held, *(field for field in many if field.shares is None)):
            starts[field.name] = place
            place += field.size
        self.register_buffer(
            "starts", torch.tensor([starts[field.name] for field in schema.of("category")], dtype=torch.int32), persistent=False
        )
        self.many = [starts[field.shares or field.name] for field in many]
        self.first = starts | {field.name: starts[str(field.shares)] for field in sharing if field.shares in starts}
        self.table = nn.Embedding(max(1, place), dim, sparse=place >= _SPARSE_FROM)
        numbers, vectors = len(schema.of("number")), schema.of("vector")
        self.slope, self.level, self.missing = (nn.Parameter(torch.empty(numbers, dim)) for _ in range(3))
        self.maps = nn.ModuleList(_map(field.size, dim, init) for field in vectors)
        self.no_vector = nn.Parameter(torch.empty(len(vectors), dim))
        self.num_fields = len(self.starts) + len(self.many) + numbers + len(vectors)
        self.dim = dim
        for weight in (self.table.weight, self.slope, self.level, self.missing, self.no_vector):
            nn.init.normal_(weight, std=init)

    def forward(self, rows: Rows) -> Tensor:
        rows = self._kept(rows)
        found = [self._looked_up(rows.codes + self.starts)] if len(self.starts) else []
        shared = rows.cells or (None,) * len(rows.bags)
        for (codes, offsets), cells, start in zip(rows.bags, shared, self.many, strict=True):
            pooled = F.embedding_bag(
                codes.long() + start,
                self.table.weight,
                offsets,
                mode="mean",
                include_last_offset=True,
                sparse=self.table.sparse,
            )
            found.append((pooled if cells is None else pooled.index_select(0, cells)).unsqueeze(1))
        if len(self.slope):
            value = rows.numbers.unsqueeze(2)
            known = torch.addcmul(self.level, value.nan_to_num(), self.slope)
            found.append(torch.where(value.isnan(), self.missing, known))
        for place, (layer, vector) in enumerate(zip(self.maps, rows.vectors, strict=True)):
            known = layer(vector.nan_to_num())
            found.append(torch.where(vector.isnan().all(1, keepdim=True), self.no_vector[place], known).unsqueeze(1))
        return found[0] if len(found) == 1 else torch.cat(found, dim=1)

    def _looked_up(self, places: Tensor) -> Tensor:
        if self.table.sparse or places.device.type != "cpu":
            return self.table(places)
        # On a CPU the slope of a gather takes a half to a sixth of the time of an embedding's.
        index = places.flatten().long().unsqueeze(1).expand(-1, self.dim)
        return self.table.weight.gather(0, index).view(*places.shape, self.dim)

    def _kept(self, rows: Rows) -> Rows:
        """The rows without the fields that are left out."""
        if not self.without:
            return rows
        codes, numbers, vectors, bags = self.read
        return Rows(
            rows.codes[:, codes] if len(codes) < rows.codes.shape[1] else rows.codes,
            rows.numbers[:, numbers] if len(numbers) < rows.numbers.shape[1] else rows.numbers,
            tuple(rows.vectors[place] for place in vectors),
            tuple(rows.bags[place] for place in bags),
            tuple(rows.cells[place] for place in bags) if rows.cells else (),
        )


def _map(size: int, dim: int, init: float) -> nn.Linear:
    """A linear map of a vector whose root mean square is about 1 to one about `init`, as the other fields' are."""
    layer = nn.Linear(size, dim)
    nn.init.normal_(layer.weight, std=init / size**0.5)
    nn.init.zeros_(layer.bias)
    return layer


class FieldWeights(nn.Module):
    """The linear part of a ranker: a bias and, for each value of each field, a weight; float32 (rows, outputs)."""

    def __init__(self, schema: RowSchema, outputs: int = 1, *, without: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.vectors = FieldVectors(schema, outputs, init=0.0, without=without)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, rows: Rows) -> Tensor:
        return self.vectors(rows).sum(1) + self.bias
