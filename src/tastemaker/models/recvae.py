"""RecVAE: Mult-VAE with a deeper encoder, a prior that remembers, and turns of encoder and decoder."""

from __future__ import annotations

import copy
import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Encoded, Query, RetrievalModel
from tastemaker.nn.bags import HistoryBag
from tastemaker.settings import Settings

_PRIOR = ((3 / 20, 0.0), (1 / 10, 10.0))
"""Share and log variance of the fixed Gaussians of the prior: a standard one and a wide one; the rest is the former encoder's."""


class RecVae(RetrievalModel):
    """RecVAE: a user is a Gaussian whose prior remembers what the encoder said before, trained in turns of encoder and decoder.

    Shenbin, Alekseev, Tutubalina, Malykh & Nikolenko 2020, "RecVAE: a new variational autoencoder for top-N recommendations with
    implicit feedback". A dense encoder (each layer reads the sum of all before it) reads mean and variance of z from the normalised
    history; items are scored by a linear layer on a draw of it. The loss is the cross-entropy of the history's items over the catalogue
    plus β_u KL(q(z|x) ‖ p(z)), β_u = `gamma` × the user's number of items. The prior p is, in each coordinate, a mixture of N(0, 1), of
    what the encoder said of that user when its turn began, and of a wide N(0, e¹⁰). As losses here are means over targets, the
    penalty is the sum over users / the number of targets: the same objective times a constant.

    Encoder and decoder take turns: `encoder_turn` steps on noisy histories, then `decoder_turn` steps on whole ones, counted in the
    buffer `step`. The half whose turn it is not counts as a constant, so that the optimizer leaves its weights and moments alone.
    Deviation: the paper's turns are three epochs and one; here they are counted in steps, as the loop that trains every model knows
    nothing of them.

    When asked, z is its mean. A user vector is z and a 1, an item vector its row of the last layer and its bias. Known and unseen users
    alike are what their history says; its order does not matter. A user with nothing gets what an empty history is encoded to.
    """

    class Config(Settings):
        """Settings of `recvae`."""

        hidden: int = Field(600, gt=0, description="size of the encoder's layers")
        latent: int = Field(200, gt=0, description="size of z")
        layers: int = Field(5, ge=1, description="layers of the encoder")
        dropout: float = Field(0.5, ge=0, lt=1, description="share of a history that is left out in turns of the encoder")
        gamma: float = Field(0.005, ge=0, description="weight of the divergence for each item of a user")
        encoder_turn: int = Field(30, ge=1, description="steps in a row that train the encoder")
        decoder_turn: int = Field(10, ge=1, description="steps in a row that train the decoder")

    learns_from = "baskets"
    solves = ("two_tastes",)
    train_defaults: ClassVar = {"loss": "cross_entropy", "optimizer": "adam", "learning_rate": 0.002, "schedule": "linear"}
    config: Config
    step: Tensor
    """int64 (): training steps so far"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.encoder = _Encoder(schema.num_items, config.hidden, config.latent, config.layers, config.dropout)
        self.former = copy.deepcopy(self.encoder).requires_grad_(False)
        """The encoder as it was when its turn began."""
        self.output = nn.Parameter(torch.empty(schema.num_items, config.latent + 1))
        """The last layer; the last number of a row is the item's bias."""
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        nn.init.normal_(self.output, std=(2 / (schema.num_items + config.latent)) ** 0.5)
        nn.init.zeros_(self.output[:, -1:])
        self._whose = ""

    def encode_batch(self, batch: Batch) -> Encoded:
        config, query = self.config, batch.query
        place = int(self.step) % (config.encoder_turn + config.decoder_turn)
        self.step += 1
        self._whose = "encoder" if place < config.encoder_turn else "decoder"
        if self._whose == "decoder":
            with torch.no_grad():
                mean, log_variance = self.encoder(query, drop=False)
                drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            return Encoded(_with_one(drawn), batch.rows)
        if not place:
            self.former.load_state_dict(self.encoder.state_dict())
        mean, log_variance = self.encoder(query)
        drawn = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        with torch.no_grad():
            before = self.former(query, drop=False)
        divergence = (_log_density(drawn, mean, log_variance) - _log_prior(drawn, *before)).sum(1)
        sizes = torch.bincount(batch.rows, minlength=len(query)) if batch.rows is not None else query.lengths
        return Encoded(_with_one(drawn), batch.rows, penalty=config.gamma * (sizes.float() @ divergence) / len(batch.targets))

    def encode_user(self, query: Query) -> Tensor:
        return _with_one(self.encoder(query)[0])

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        table = self.output.detach() if self.training and self._whose == "encoder" else self.output
        return table if codes is None else table[codes]


class _Encoder(nn.Module):
    """Histories → mean and log variance of z, each (batch, latent)."""

    def __init__(self, num_items: int, hidden: int, latent: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.history = HistoryBag(num_items, hidden, dropout)
        self.layers = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, eps=0.1) for _ in range(layers))
        self.posterior = nn.Linear(hidden, 2 * latent)

    def forward(self, query: Query, *, drop: bool = True) -> tuple[Tensor, Tensor]:
        first, *norms = self.norms
        below = state = first(F.silu(self.history(query.items, query.rows, len(query), drop=drop)))
        for layer, norm in zip(self.layers, norms, strict=True):
            state = norm(F.silu(layer(state) + below))
            below = below + state
        mean, log_variance = self.posterior(state).chunk(2, dim=1)
        return mean, log_variance


def _with_one(vectors: Tensor) -> Tensor:
    return torch.cat([vectors, torch.ones_like(vectors[:, :1])], dim=1)


def _log_density(values: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Of Gaussians, each coordinate by itself."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (values - mean).square() * (-log_variance).exp())


def _log_prior(values: Tensor, former_mean: Tensor, former_log_variance: Tensor) -> Tensor:
    """Of the mixture, each coordinate by itself."""
    zero = values.new_zeros(())
    parts = [math.log(share) + _log_density(values, zero, values.new_tensor(spread)) for share, spread in _PRIOR]
    share = 1 - sum(share for share, _ in _PRIOR)
    parts.append(math.log(share) + _log_density(values, former_mean, former_log_variance))
    return torch.stack(parts).logsumexp(0)
