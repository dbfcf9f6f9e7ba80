"""ESMM: what follows a click is learned over all rows, as the probability of both."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.experts import Towers
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class ESMM(Ranker):
    """p(click, buy) = p(click) p(buy | click), a tower for each factor on shared vectors (Ma et al. 2018, "Entire space multi-task model", eq. 1 and 4).

    Each output is the logit of its whole product, so both labels are learned over all rows, and p(buy | click) without the bias of rows that were clicked. A
    label that does not happen unless another did follows it; a chain may be longer, and several labels may follow one. Logits are computed from
    logarithms: log(1 - p q) = log((1 - p) + p (1 - q)), so that neither small nor large probabilities are rounded away.
    """

    class Config(DeepConfig):
        """Settings of `esmm`."""

        hidden: tuple[int, ...] = Field((360, 200, 80), min_length=1, description="widths of each label's layers")
        follows: tuple[str, ...] | None = Field(
            None, description='the label that each label follows, "" for none; default: the one before it'
        )

    ancestor = "shared_bottom"
    many_outputs = True
    solves = ("funnel",)
    train_defaults: ClassVar = {"learning_rate": 0.001}
    shares_cells = True
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.follows = _follows(config.follows, schema.outputs)
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        size = self.vectors.num_fields * config.dim
        self.towers = Towers(len(schema.outputs), size, config.hidden, **config.layer_options)

    def forward(self, rows: Rows) -> Tensor:
        factors = self.factors(rows)
        with torch.autocast(factors.device.type, enabled=False):
            logits = factors.float().unbind(1)
            happens: dict[int, Tensor] = {}
            fails: dict[int, Tensor] = {}
            for place in _in_order(self.follows):
                before = self.follows[place]
                happens[place], fails[place] = F.logsigmoid(logits[place]), F.logsigmoid(-logits[place])
                if before is not None:
                    fails[place] = torch.logaddexp(fails[before], happens[before] + fails[place])
                    happens[place] = happens[before] + happens[place]
            return torch.stack([happens[place] - fails[place] for place in range(len(logits))], 1)

    def factors(self, rows: Rows) -> Tensor:
        """Logits (rows, outputs) of each label, given that the one it follows happened."""
        first = self.vectors(rows).flatten(1)
        return self.towers([first] * len(self.schema.outputs))


def _follows(names: tuple[str, ...] | None, outputs: tuple[str, ...]) -> tuple[int | None, ...]:
    """The place of the output that each one follows."""
    if len(outputs) < 2:
        raise ConfigError(
            f"one output: {outputs[0]}", expected="two labels or more for ESMM", hint='data.labels = ["click", "buy"]'
        )
    if names is None:
        return (None, *range(len(outputs) - 1))
    if len(names) != len(outputs):
        raise ConfigError(
            f"model.follows: {len(names)} names", expected=f"one for each of {', '.join(outputs)}, or an empty text"
        )
    for name in names:
        if name and name not in outputs:
            raise ConfigError(f"model.follows: no label {name!r}", expected=f"one of {', '.join(outputs)}")
    found = tuple(outputs.index(name) if name else None for name in names)
    if len(_in_order(found)) < len(found):
        raise ConfigError(f"model.follows = {list(names)}", expected="no label that follows itself")
    if all(before is None for before in found):
        raise ConfigError("model.follows without a name", expected="a label that follows another", hint="see shared_bottom")
    return found


def _in_order(follows: tuple[int | None, ...]) -> list[int]:
    """Places, each after the one it follows; those in a circle are left out."""
    done: list[int] = []
    while fresh := [place for place, before in enumerate(follows) if place not in done and (before is None or before in done)]:
        done += fresh
    return done
