"""Mult-VAE: a variational autoencoder of histories with a multinomial likelihood."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.bags import HistoryBag
from tastemaker.settings import Settings


class MultVae(RetrievalModel):
    """Mult-VAE: a user is a Gaussian read from a history of which items are missing, and a draw of it should predict all of it.

    Liang, Krishnan, Hoffman & Jebara 2018, "Variational autoencoders for collaborative filtering". A two-layer encoder reads mean and
    variance of z from the normalised history; a decoder of the same shape turns a draw into a state, and scores are a linear layer on
    it. The loss is the cross-entropy of the history's items over the catalogue plus β KL(q(z|x) ‖ N(0, I)) of each user. As losses here are means
    over targets, not users, the penalty is β × the sum of the users' divergences / the number of targets: the same
    objective times a constant. β grows to `beta` over `anneal_steps` steps and stays.

    When asked, z is its mean. A user vector is the state and a 1, an item vector its row of the last layer and its bias. Known and
    unseen users alike are what their history says; its order does not matter. A user with nothing gets what an empty history is
    decoded to.
    """

    class Config(Settings):
        """Settings of `multvae`."""

        hidden: int = Field(600, gt=0, description="size of the hidden layers of encoder and decoder")
        latent: int = Field(200, gt=0, description="size of z")
        dropout: float = Field(0.5, ge=0, lt=1, description="share of a history that is left out in training")
        beta: float = Field(0.2, ge=0, description="weight of the divergence once it is annealed")
        anneal_steps: int = Field(1000, ge=0, description="steps over which the weight of the divergence grows")

    learns_from = "baskets"
    solves = ("two_tastes",)
    train_defaults: ClassVar = {"loss": "cross_entropy", "optimizer": "adam", "learning_rate": 0.002, "schedule": "linear"}
    config: Config
    step: Tensor
    """int64 (): training steps so far"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.history = HistoryBag(schema.num_items, config.hidden, config.dropout)
        self.posterior = nn.Linear(config.hidden, 2 * config.latent)
        self.decoder = nn.Linear(config.latent, config.hidden)
        self.output = nn.Parameter(torch.empty(schema.num_items, config.hidden + 1))
        """The last layer; the last number of a row is the item's bias."""
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        nn.init.normal_(self.output, std=(2 / (schema.num_items + config.hidden)) ** 0.5)
        nn.init.zeros_(self.output[:, -1:])
        for layer in (self.posterior, self.decoder):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def encode_batch(self, batch: Batch) -> Encoded:
        mean, log_variance = self._posterior(batch.query)
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum()
        self.step += 1
        beta = self.config.beta * (self.step / max(1, self.config.anneal_steps)).clamp(max=1)
        return Encoded(self._decoded(drawn), batch.rows, penalty=beta * divergence / len(batch.targets))

    def encode_user(self, query: Query) -> Tensor:
        return self._decoded(self._posterior(query)[0])

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        return self.output if codes is None else self.output[codes]

    def _posterior(self, query: Query) -> tuple[Tensor, Tensor]:
        """Mean and log of the variance of each user's z, each (batch, latent)."""
        hidden = torch.tanh(self.history(query.items, query.rows, len(query)))
        mean, log_variance = self.posterior(hidden).chunk(2, dim=1)
        return mean, log_variance

    def _decoded(self, latent: Tensor) -> Tensor:
        hidden = torch.tanh(self.decoder(latent))
        return torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1)
