"""UniSRec: a transformer over what the things in a history are, which can be carried to another catalogue."""

from __future__ import annotations

from typing import ClassVar, Literal, cast

from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import TokenModel
from tastemaker.nn.adaptor import MixtureAdaptor
from tastemaker.nn.entity import EntityEncoder, content_table
from tastemaker.nn.reader import CausalReader
from tastemaker.nn.started import Started
from tastemaker.nn.transformer import Block, init_normal


class UniSRec(TokenModel):
    """SASRec whose items are whitened, adapted contents; scores are cosines with a temperature.

    Hou et al. 2022, "Towards universal sequence representation learning for recommender systems". Each modality of `[content]` goes
    through whitening and a mixture of experts (`nn.adaptor`) before the fusion. With `transfer = "inductive"` nothing belongs to an item, so the
    weights learned on one catalogue begin another (`[run] start_from`), and items that come later are read as all others; with
    `"transductive"` items have a vector of their own beside, as in the paper's fine-tuning with ids. Deviations: cross-entropy
    over the catalogue in place of in-batch contrasts, and no sequence-to-sequence contrast of augmented histories. Without `[content]`, which only Python allows, items are their codes.
    """

    class Config(TokenModel.Config):
        """Settings of `unisrec`."""

        similarity: Literal["dot", "cosine"] = Field("cosine", description="of user and item vectors")
        temperature: float = Field(0.07, gt=0, description="what cosines are divided by")
        transfer: Literal["inductive", "transductive"] = Field(
            "inductive", description="whether items have a vector of their own"
        )
        experts: int = Field(8, ge=1, description="of the adaptor of a modality")
        blocks: int = Field(2, ge=1, description="transformer blocks")
        heads: int = Field(2, ge=1, description="attention heads")
        max_length: int = Field(200, ge=1, description="newest events of a history that are read; unset: what the data needs")
        init: float = Field(0.02, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each block; unset: more on sparser data")

    needs_contents = True
    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        table = content_table(schema, config.dim, ids=config.transfer == "transductive")
        if isinstance(table, EntityEncoder):
            table.fused.projections = nn.ModuleList(
                MixtureAdaptor(size, config.dim, config.experts, config.dropout) for _, size in table.schema.modalities
            )
        self.item_embedding = table
        sizes = (config.dim, config.heads, config.dim, config.dropout)
        self.reader = CausalReader(
            config.dim, (Block(*sizes) for _ in range(config.blocks)), config.max_length, config.dropout, init=config.init
        )
        init_normal(self, config.init)

    def states(self, rows: Started) -> Tensor:
        return cast(Tensor, self.reader(self.item_embedding(rows.items), rows))

    def newest(self, rows: Started) -> Tensor:
        return self.reader.newest(self.item_embedding(rows.items), rows)
