"""What a ranker is: rows of features go in, a logit for each label comes out."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.histories import Past, find_histories
from tastemaker.nn.mlp import Activation, mlp
from tastemaker.nn.rows import Rows
from tastemaker.nn.sparse import SizedByData
from tastemaker.settings import Settings


class Ranker(SizedByData, abc.ABC):
    """Base of all rankers. Built from its `Config` and the schema of the rows alone; all state is in parameters and buffers.

    It reads rows one by one: a row's logits do not depend on the other rows of a batch, in evaluation mode. Losses, optimizers, labels and files
    are no business of a ranker.
    """

    class Config(Settings):
        """Settings of the ranker; each file defines its own."""

    train_defaults: ClassVar[dict[str, Any]] = {}
    """`[train]` settings that suit this ranker, where the config is silent."""
    solves: ClassVar[tuple[str, ...]] = ()
    """the worlds of `data.synthetic_rows` in which the ranker comes near what can be known; contract tests hold it to that"""
    ancestor: ClassVar[str | None] = None
    """the simpler ranker that this one has to beat"""
    many_outputs: ClassVar[bool] = False
    """whether it can predict several labels, or several classes of one"""
    shares_cells: ClassVar[bool] = False
    """whether it reads many-valued fields as `FieldVectors` gives them alone, so that many rows may share a cell that is pooled once"""
    least_fields: ClassVar[int] = 1
    """how many fields it takes for the ranker to mean anything"""

    def __init__(self, config: Settings, schema: RowSchema) -> None:
        super().__init__()
        self.config: Any = config
        self.schema = schema
        if len(schema.outputs) > 1 and not self.many_outputs:
            raise ConfigError(
                f"{len(schema.outputs)} outputs: {', '.join(schema.outputs[:5])}",
                expected=f"one label for {type(self).__name__}",
                hint="name one label, or take a ranker with several outputs, such as mmoe",
            )
        if len(schema.fields) < self.least_fields:
            raise ConfigError(
                f"{len(schema.fields)} field",
                expected=f"{self.least_fields} fields or more for {type(self).__name__}",
                hint="see [features]",
            )

    @abc.abstractmethod
    def forward(self, rows: Rows) -> Tensor:
        """Logits, float32 (rows, outputs): higher is likelier."""

    def penalty(self) -> Tensor | None:
        """What training adds to the loss of the rows read last, in training mode, a scalar; None: nothing. To be asked once a step."""
        return None

    def tables(self) -> list[Tensor]:
        """The embedding tables, which `train.embedding_l2` decays."""
        return [module.table.weight for module in self.modules() if isinstance(module, FieldVectors)]


class DeepConfig(Settings):
    """Settings that rankers with field vectors and a perceptron share."""

    dim: int = Field(10, gt=0, description="size of a field's vector")
    init: float = Field(0.01, gt=0, description="standard deviation of the first vectors")
    hidden: tuple[int, ...] = Field((400, 400, 400), min_length=1, description="widths of the perceptron's layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the perceptron's layers")
    batch_norm: bool = Field(False, description="normalise the perceptron's layers over the batch")
    activation: Activation = Field("relu", description="of the perceptron's layers")

    def perceptron(self, size: int, outputs: int | None = None) -> nn.Sequential:
        """The perceptron that these settings describe, of `size` inputs; with `outputs` a linear map behind it."""
        return mlp(size, self.hidden, outputs, **self.layer_options)

    @property
    def layer_options(self) -> dict[str, Any]:
        """What `mlp` wants to know of layers, beside their widths."""
        return {"activation": self.activation, "dropout": self.dropout, "batch_norm": self.batch_norm}


class HistoryConfig(DeepConfig):
    """Settings that rankers share which read a history in view of the candidate."""

    hidden: tuple[int, ...] = Field((200, 80), min_length=1, description="widths of the perceptron's layers")
    history: tuple[str, ...] = Field(
        (), description="sequences that are read as histories; default: all that share a category's vocabulary"
    )


class HistoryRanker(Ranker):
    """Base of rankers that read histories in view of the candidate: MLP([v_1; …; v_F; interest of each history]).

    A history is a "sequence" field that shares the vocabulary of a category, which is the candidate; both have one table. It is not among the fields
    v_1 … v_F; all other sequences and bags are, as means. Histories that lie side by side, such as items and their brands, are read each by
    itself, where the papers make one event of them.
    """

    class Config(HistoryConfig):
        """Settings of the ranker; each file defines its own."""

    many_outputs = True
    train_defaults: ClassVar = {"learning_rate": 0.001}
    interests: ClassVar[int] = 1
    """vectors that `interest` puts side by side"""

    def __init__(self, config: HistoryConfig, schema: RowSchema, *, but: tuple[str, ...] = ()) -> None:
        """`but`: sequences that are no histories, unless the config says so."""
        super().__init__(config, schema)
        self.histories = find_histories(schema, config.history, but=but)
        self.vectors = FieldVectors(
            schema, config.dim, init=config.init, without=tuple(history.name for history in self.histories)
        )
        read = self.vectors.num_fields + self.interests * len(self.histories)
        self.deep = config.perceptron(read * config.dim, len(schema.outputs))

    @abc.abstractmethod
    def interest(self, place: int, past: Past, rows: Rows) -> Tensor:
        """What the history at `place` of `self.histories` says about the candidates: float32 (rows, interests · dim)."""

    def forward(self, rows: Rows) -> Tensor:
        fields = self.vectors(rows)
        found = [fields.flatten(1)]
        for place, history in enumerate(self.histories):
            codes, offsets = rows.bags[history.bag]
            past = Past(codes + self.vectors.first[history.name], offsets, fields[:, history.target])
            found.append(self.interest(place, past, rows))
        return self.deep(torch.cat(found, 1))
