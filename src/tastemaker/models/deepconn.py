"""DeepCoNN: predicts ratings from all that a user wrote and all that was written about an item."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.parts.reviewed import ReviewModel
from tastemaker.nn.documents import Side
from tastemaker.nn.dropout import Dropout


class DeepCoNN(ReviewModel):
    """Predicts μ + b_u + b_i + FM([x_u ; y_i]), x_u and y_i read by two parallel CNNs from a user's document and an item's.

    Zheng, Noroozi & Yu 2017, "Joint deep modeling of users and items using reviews for recommendation". A CNN over the words of a
    document, the largest value of each filter (eq. 3 to 5), a layer with relu (eq. 6), and on both together a factorization machine (eq. 7):
    w · z + Σ_{a<b} (v_a · v_b) z_a z_b, z = [x_u ; y_i], which is a dot product of what depends on the user and what depends on the item.

    **In training, what u wrote of i is left out of both documents that (u, i) is predicted from.** Documents of published code hold it,
    and much of the gain reported with it is that (Catherine & Cohen 2017, "TransNets"). Other deviations: biases of user and item, which the
    paper leaves to the text, are solved first and seen without the rating that is to be predicted (`Biases`); windows of words do not run
    from one review into the next, so that a document is the maximum over its reviews; word vectors begin with what the corpus says
    (`WordTable`), not with a table from elsewhere.

    A user or item without reviews has an empty document (all maxima 0); a user unseen in training also gets b_u from the ratings in
    their history. Predicted values stay inside the range seen in training. Asked about a pair that training knows, the model reads its
    review like any other.
    """

    class Config(ReviewModel.Config):
        """Settings of `deepconn`."""

        dim: int = Field(16, gt=0, description="size of x_u and y_i")
        rank: int = Field(8, gt=0, description="size of the vectors v of the factorization machine")
        init: float = Field(0.03, gt=0, description="standard deviation of the first v")
        dropout: float = Field(0.3, ge=0, lt=1, description="of x_u and y_i")

    train_defaults: ClassVar = {
        "loss": "squared_error",
        "optimizer": "adam",
        "learning_rate": 0.003,
        "weight_decay": 0.001,
        "schedule": "linear",
        "epochs": 20,
    }
    config: Config

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema, "cnn")
        self.layers = nn.ModuleDict({side: nn.Linear(config.text_dim, config.dim) for side in ("user", "item")})
        self.weight = nn.ParameterDict({side: torch.zeros(config.dim) for side in ("user", "item")})
        self.factors = nn.ParameterDict({side: config.init * torch.randn(config.dim, config.rank) for side in ("user", "item")})
        self.dropout = Dropout(config.dropout)

    def _side(self, side: Side, codes: Tensor, apart_from: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Vᵀz, (n, rank), and w · z + Σ_{a<b} (v_a · v_b) z_a z_b, (n,), over the numbers of one side."""
        reviews, offsets = self.reader.documents.of(side, codes, apart_from)
        largest = torch.segment_reduce(self.reader(side, reviews), "max", offsets=offsets, axis=0, initial=0.0)
        read = self.dropout(F.relu(self.layers[side](largest)))
        factors = self.factors[side]
        vectors = read @ factors
        within = (vectors.square().sum(1) - read.square() @ factors.square().sum(1)) / 2
        return vectors, read @ self.weight[side] + within
