"""LightGCN: matrix factorization whose vectors are means over the neighbourhood in the graph of who chose what."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.matching import Likeness, Matching, suited_to_loss
from tastemaker.nn.propagation import Propagation, Sides
from tastemaker.settings import Settings


class LightGCN(RetrievalModel):
    """Score = e_u · e_i, the means of layers 0…K of embeddings that take K steps over the normalised graph.

    He, Deng, Wang, Li, Zhang & Wang 2020, "LightGCN: simplifying and powering graph convolution network for recommendation", eq. 3 to
    11. Deviations: unless `[train] loss` says `"bpr"`, which the paper has, the loss is cross-entropy over the catalogue, of cosines over a
    temperature plus an item's bias (as in `mf`), since it needs tens of epochs of large steps instead of a thousand of small ones. The embeddings of
    drawn negatives are not in the penalty. The graph is walked once a step.

    A user is the sum of what the history's items send, plus an embedding of one's own: a user unseen in training, or one who has done
    more since, gets the vector that the propagation would give. A user with nothing gets the mean user's.
    """

    class Config(Settings):
        """Settings of `lightgcn`."""

        dim: int = Field(128, gt=0, description="size of user and item vectors")
        layers: int = Field(3, ge=1, description="steps over the graph")
        init: float = Field(0.1, gt=0, description="standard deviation of the first embeddings")
        similarity: Likeness | None = Field(
            None, description="of user and item vectors; unset: cosine for a softmax, dot for other losses"
        )
        temperature: float = Field(0.1, gt=0, description="what cosines are divided by")
        item_bias: bool | None = Field(None, description="whether an item has a bias beside its vector; unset: for a softmax")
        regularization: float = Field(
            1e-4,
            ge=0,
            description="penalty on the squared first embeddings of a batch's users and items; unset: 0 for a softmax",
        )

    learns_from = "pairs"
    solves = ("two_tastes",)
    train_defaults: ClassVar = {"optimizer": "adam", "learning_rate": 0.01, "schedule": "linear"}

    config: Config

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.walker = Propagation(schema, config.dim, config.layers, first=True, init=config.init)
        self.matching = Matching(schema.num_items, config.similarity, config.temperature, item_bias=config.item_bias is True)
        self._step: Sides | None = None

    @classmethod
    def adapt(cls, config: Config, interactions: Interactions, loss: str | None = None) -> Config:
        chosen: dict[str, Any] = suited_to_loss(config.similarity, config.item_bias, loss)
        if loss in (None, "softmax", "cross_entropy") and "regularization" not in config.model_fields_set:
            chosen["regularization"] = 0.0
        return config.model_copy(update=chosen)

    def observe(self, interactions: Interactions) -> None:
        self.walker.graph.connect(interactions.matrix(self.schema.num_users, self.schema.num_items))
        self.forget()

    def forget(self) -> None:
        self._step = None
        self.walker.forget()

    def encode_batch(self, batch: Batch) -> Encoded:
        users = batch.query.users
        penalty = None
        if self.config.regularization:
            rows = users if batch.rows is None else users[batch.rows]
            first = self.walker.user_embedding(rows).square().sum() + self.walker.item_embedding(batch.targets).square().sum()
            penalty = self.config.regularization / 2 * first / len(batch.targets)
        return Encoded(self.matching.of_users(self._walked()[0].index_select(0, users)), batch.rows, penalty=penalty)

    def encode_user(self, query: Query) -> Tensor:
        return self.matching.of_users(self.walker.users_now(query.users, query.matrix(self.schema.num_items)))

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        table = self._walked()[1] if self.training else self.walker.items_now()
        return self.matching.of_items(table, codes)

    def _walked(self) -> Sides:
        if self._step is None:
            self._step = self.walker.mean(self.walker.walk())
        return self._step
