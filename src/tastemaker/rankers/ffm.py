"""Field-aware factorization machine: a value has a vector for each field that it can meet."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.nn.fields import FieldVectors, FieldWeights
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker
from tastemaker.settings import Settings


class FFM(Ranker):
    """Logit = b + Σ_f w_f + Σ_{f<g} v_{f,g} · v_{g,f} (Juan et al. 2016, "Field-aware factorization machines for CTR prediction", eq. 4).

    v_{f,g} is the vector that the value of field f has for meeting field g. A row is fields × fields × dim numbers in memory, and so is
    a table fields times that of `fm`; the vectors of a field for itself are held too and never read or moved. Here every kind of field
    has them: a bag's are the means of its values', a number's and a vector's are linear in it. Against the paper: Adam in place of
    AdaGrad, vectors begin as normal, not as uniform in 0…1/√dim, rows are not scaled to length 1, and b and w_f are added, which
    eq. 4 leaves out "for simplicity".
    """

    class Config(Settings):
        """Settings of `ffm`."""

        dim: int = Field(10, gt=0, description="size of each of a value's vectors, one a field")
        init: float = Field(0.01, gt=0, description="standard deviation of the first vectors")

    ancestor = "fm"
    least_fields = 2
    solves = ("additive", "crossed")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.linear = FieldWeights(schema)
        self.vectors = FieldVectors(schema, len(schema.fields) * config.dim, init=config.init)

    def forward(self, rows: Rows) -> Tensor:
        vectors = self.vectors(rows)
        met = _met(vectors.view(len(vectors), self.vectors.num_fields, self.vectors.num_fields, self.config.dim))
        return self.linear(rows) + met.unsqueeze(1)


def _met(vectors: Tensor) -> Tensor:
    """Σ_{f<g} v_{f,g} · v_{g,f}: (rows, fields, fields, dim) → (rows,)."""
    return _Met.apply(vectors)


class _Met(torch.autograd.Function):
    """The sum and its slope, which is v_{g,f} at v_{f,g}: one transposed copy serves both."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        other = vectors.transpose(1, 2).contiguous()
        other.diagonal(dim1=1, dim2=2).zero_()
        ctx.save_for_backward(other)
        return torch.linalg.vecdot(vectors.flatten(1), other.flatten(1)).mul_(0.5)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return ctx.saved_tensors[0] * slope.view(-1, 1, 1, 1)
