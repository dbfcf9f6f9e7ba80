"""MMoE: experts that all labels share, and a gate for each."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.experts import Experts, Gate, Towers
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class MMoE(Ranker):
    """Logit_k = tower_k(Σ_e softmax_e(W_k x) expert_e(x)), x = [v_1; …; v_F].

    Ma et al. 2018, "Modeling task relationships in multi-task learning with multi-gate mixture-of-experts", eq. 5 to 7. With one expert it is `shared_bottom`.
    """

    class Config(DeepConfig):
        """Settings of `mmoe`."""

        experts: int = Field(8, ge=1, description="perceptrons that the gates weigh")
        hidden: tuple[int, ...] = Field((128, 64), min_length=1, description="widths of each expert's layers")
        tower: tuple[int, ...] = Field((64,), min_length=1, description="widths of each label's own layers")

    ancestor = "shared_bottom"
    many_outputs = True
    solves = ("funnel",)
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        size, options = self.vectors.num_fields * config.dim, config.layer_options
        self.experts = Experts(config.experts, size, config.hidden, **options)
        self.gates = nn.ModuleList(Gate(size, config.experts) for _ in schema.outputs)
        self.towers = Towers(len(schema.outputs), config.hidden[-1], config.tower, **options)

    def forward(self, rows: Rows) -> Tensor:
        first = self.vectors(rows).flatten(1)
        experts = self.experts(first)
        return self.towers([gate(first, experts) for gate in self.gates])
