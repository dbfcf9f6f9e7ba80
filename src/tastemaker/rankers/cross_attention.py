"""Cross-attention: what is known of the candidate asks the history."""

from __future__ import annotations

from typing import ClassVar, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.cross_attention import CrossBlock
from tastemaker.nn.fields import FieldVectors
from tastemaker.nn.histories import newest
from tastemaker.nn.ragged import positions_from_end
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import DeepConfig, Ranker


class CrossAttentionRanker(Ranker):
    """Logits = MLP([v_1; …; v_F; x_1; …; x_Q; x_1 ⊙ q_1; …]), x = blocks of cross-attention of the candidate's fields q over the history's events.

    Multi-head attention is that of Vaswani et al. 2017, "Attention is all you need", eq. 1, in pre-norm blocks with residuals and a two-layer
    perceptron, as in its decoder but without self-attention and the mask. Each field of the candidate, its content among them (a text's or an image's vector, its tags), is a query of its own, so an
    item that nobody has met yet is set against the history by what it is. A history need not share the candidate's vocabulary, as that of `din` must. Events are their
    vectors and those of their positions, counted from the newest. Histories side by side are read each by itself. As in `bst`,
    queries and keys begin alike, and what was found is multiplied with what asked; first vectors are larger than elsewhere. Without these, whether a few hundred
    steps teach what resembles what depends on the seed.
    """

    class Config(DeepConfig):
        """Settings of `cross_attention`."""

        dim: int = Field(16, gt=0, description="size of a field's vector")
        init: float = Field(0.1, gt=0, description="standard deviation of the first vectors")
        hidden: tuple[int, ...] = Field((200, 80), min_length=1, description="widths of the perceptron's layers")
        candidate: tuple[str, ...] = Field((), description="fields that ask; default: all categories, bags and vectors")
        history: tuple[str, ...] = Field((), description="sequences that are asked; default: all")
        blocks: int = Field(1, ge=1, description="blocks of attention and perceptron")
        heads: int = Field(2, ge=1, description="attention heads")
        max_length: int = Field(50, ge=1, description="newest events of a history that are read")
        attention_dropout: float = Field(0.0, ge=0, lt=1, description="of the blocks")

        @model_validator(mode="after")
        def _divides(self) -> Self:
            if self.dim % self.heads:
                raise ValueError(f"dim to be a multiple of heads = {self.heads}, not {self.dim}")
            return self

    many_outputs = True
    ancestor = "dnn"
    solves = ("tastes", "content")
    train_defaults: ClassVar = {"learning_rate": 0.001}
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.histories = _histories(schema, config.history)
        names = [schema.of("bag", "sequence")[place].name for place in self.histories]
        self.vectors = FieldVectors(schema, config.dim, init=config.init)
        queries = _queries(schema, config.candidate, names)
        self.register_buffer("queries", torch.tensor(queries), persistent=False)
        dim = config.dim
        self.positions = nn.ParameterList(torch.randn(config.max_length, dim) * config.init for _ in names)
        self.blocks = nn.ModuleList(
            nn.ModuleList(CrossBlock(dim, config.heads, 4 * dim, config.attention_dropout) for _ in range(config.blocks))
            for _ in names
        )
        read = self.vectors.num_fields + 2 * len(queries) * len(names)
        self.deep = config.perceptron(read * dim, len(schema.outputs))

    queries: Tensor

    def forward(self, rows: Rows) -> Tensor:
        fields = self.vectors(rows)
        asking = fields.index_select(1, self.queries)
        found = [fields.flatten(1)]
        for bag, positions, blocks in zip(self.histories, self.positions, self.blocks, strict=True):
            codes, offsets = rows.bags[bag]
            places, offsets = newest(offsets, self.config.max_length)
            codes = codes if places is None else codes.index_select(0, places)
            events = self.vectors.table(codes + self.vectors.many[bag])
            events = events + positions.index_select(0, positions_from_end(offsets))
            said = asking
            for block in cast(nn.ModuleList, blocks):
                said = block(said, events, offsets)
            said = said.float()
            found += [said.flatten(1), (said * asking).flatten(1)]
        return self.deep(torch.cat(found, 1))


def _histories(schema: RowSchema, names: tuple[str, ...]) -> tuple[int, ...]:
    """Places of the sequences that are asked, among bags and sequences."""
    known = {field.name: place for place, field in enumerate(schema.of("bag", "sequence")) if field.kind == "sequence"}
    hint = '[features.fields] history = { kind = "sequence" }'
    if not known:
        raise ConfigError("no history", expected="a sequence among the fields", hint=hint)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"model.history: {unknown[0]!r}", expected=f"one of {', '.join(known)}", hint=hint)
    return tuple(known[name] for name in names or known)


def _queries(schema: RowSchema, names: tuple[str, ...], histories: list[str]) -> list[int]:
    """Places of the fields that ask, in the order of `FieldVectors`."""
    order = [field for kinds in (("category",), ("bag", "sequence"), ("number",), ("vector",)) for field in schema.of(*kinds)]
    if unknown := [name for name in names if name in histories or name not in {field.name for field in order}]:
        free = [field.name for field in order if field.name not in histories]
        raise ConfigError(f"model.candidate: {unknown[0]!r}", expected=f"fields that are no histories: {', '.join(free)}")
    wanted = names or [field.name for field in order if field.kind in ("category", "bag", "vector")]
    if not wanted:
        raise ConfigError(
            "no field beside the history", expected="a category, bag or vector of the candidate", hint="see [features]"
        )
    return [place for place, field in enumerate(order) if field.name in wanted]
