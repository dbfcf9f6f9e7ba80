"""PLE: layers of experts, some shared and some of one label."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.experts import Experts, Gate, Towers
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class PLE(Ranker):
    """Progressive layered extraction (Tang et al. 2020, "Progressive layered extraction (PLE)", eq. 1 to 9).

    In each layer a label's gate weighs its own experts and the shared ones, by what the label read; the shared gate weighs all experts. The next layer
    reads what the gates gave, the towers what the labels' gates of the last layer gave. One layer is the paper's CGC.
    """

    class Config(DeepConfig):
        """Settings of `ple`."""

        layers: int = Field(2, ge=1, description="layers of experts")
        experts: int = Field(2, ge=1, description="experts of each label, in each layer")
        shared: int = Field(2, ge=1, description="shared experts in each layer")
        hidden: tuple[int, ...] = Field((128, 64), min_length=1, description="widths of an expert's layers")
        tower: tuple[int, ...] = Field((64,), min_length=1, description="widths of each label's own layers")

    ancestor = "mmoe"
    many_outputs = True
    solves = ("funnel",)
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        size, tasks = self.vectors.num_fields * config.dim, len(schema.outputs)
        self.layers = nn.ModuleList(
            _Layer(config, config.hidden[-1] if layer else size, tasks, last=layer == config.layers - 1)
            for layer in range(config.layers)
        )
        self.towers = Towers(tasks, config.hidden[-1], config.tower, **config.layer_options)

    def forward(self, rows: Rows) -> Tensor:
        first = self.vectors(rows).flatten(1)
        inputs = [first] * (len(self.schema.outputs) + 1)
        for layer in self.layers:
            inputs = layer(inputs)
        return self.towers(inputs)


class _Layer(nn.Module):
    """Inputs and outputs are one a label, and then the shared one, which the last layer does not give."""

    def __init__(self, config: PLE.Config, size: int, tasks: int, *, last: bool) -> None:
        super().__init__()
        options = config.layer_options
        self.own = nn.ModuleList(Experts(config.experts, size, config.hidden, **options) for _ in range(tasks))
        self.shared = Experts(config.shared, size, config.hidden, **options)
        self.gates = nn.ModuleList(Gate(size, config.experts + config.shared) for _ in range(tasks))
        self.shared_gate = None if last else Gate(size, tasks * config.experts + config.shared)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        shared = self.shared(inputs[-1])
        own = [experts(values) for experts, values in zip(self.own, inputs[:-1], strict=True)]
        found = [
            gate(values, torch.cat([experts, shared], 1))
            for gate, values, experts in zip(self.gates, inputs[:-1], own, strict=True)
        ]
        return found if self.shared_gate is None else [*found, self.shared_gate(inputs[-1], torch.cat([*own, shared], 1))]
