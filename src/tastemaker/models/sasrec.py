"""SASRec: self-attention over the user's history, in order."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

from pydantic import Field
from torch import Tensor

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.entity import item_table
from tastemaker.nn.reader import CausalReader
from tastemaker.nn.started import Started
from tastemaker.nn.transformer import Block, LiGRBlock, init_normal


class SASRec(TokenModel):
    """Self-attentive sequential recommendation (Kang & McAuley 2018), trained on the next item after every event.

    A user is the transformer's state after the newest event; an item is its embedding, shared with the input. Deviations from the
    paper: pre-norm blocks with GELU, a layer norm on the embeddings (where the paper multiplies them by √dim: without either the blocks
    drown out what the item is), positions counted from the newest event, no dropout of attention weights unless
    `attention_dropout` is set, and by default cross-entropy over the whole catalogue instead of one sampled negative (Klenitskiy &
    Vasilev 2023), which matters more than the architecture.

    Every history begins with a learned start token, so the first event is a target too and a user with nothing gets a list: what
    anyone's first event is likely to be.

    Its successors are settings: gSASRec (Petrov & Macdonald 2023) is `[train] loss = "gbce"` with 256 negatives; eSASRec (Tikhonovich et
    al. 2025, "eSASRec: Enhancing Transformer-based Recommendations in a Modular Fashion") is `block = "ligr"`, `hidden = 4` and
    `[train] loss = "softmax"` with `sampler = "mixed"`.
    """

    class Config(TokenModel.Config):
        """Settings of `sasrec`."""

        blocks: int = Field(2, ge=1, description="transformer blocks")
        heads: int = Field(2, ge=1, description="attention heads")
        hidden: int = Field(1, ge=1, description="width of the perceptron, in multiples of dim")
        block: Literal["plain", "ligr"] = Field("plain", description="ligr: gated residuals and SwiGLU, as in eSASRec")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each block; unset: more on sparser data")
        attention_dropout: float = Field(0.0, ge=0, lt=1, description="of the weights of attention")

    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        kind = LiGRBlock if config.block == "ligr" else Block
        sizes = (config.dim, config.heads, config.hidden * config.dim, config.dropout)
        self.item_embedding = item_table(schema, config.dim)
        self.reader = CausalReader(
            config.dim,
            (kind(*sizes, attention_dropout=config.attention_dropout) for _ in range(config.blocks)),
            config.max_length,
            config.dropout,
            init=config.init,
        )
        init_normal(self, config.init)

    def states(self, rows: Started) -> Tensor:
        return cast(Tensor, self.reader(self.item_embedding(rows.items), rows))

    def newest(self, rows: Started) -> Tensor:
        return self.reader.newest(self.item_embedding(rows.items), rows)
