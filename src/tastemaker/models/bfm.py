"""Bayesian factorization of ratings: averaged over what the ratings leave open instead of fitted to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.models.base import Query, RetrievalModel
from tastemaker.nn.regressions import Groups, MeanProduct, SparseRegression, normal_gamma, precision_of
from tastemaker.settings import Settings

_MINUTE = 60_000_000
_CHUNK = 1 << 16


class Bfm(RetrievalModel):
    """Predicts μ + b_u + b_i + p_u · q_i + Σ_w s_w(u, t), averaged over draws of all of these from their posterior.

    Rendle 2012, "Factorization machines with libFM" (§5.3, MCMC), and Rendle, Zhang & Koren 2019, "On the difficulty of evaluating
    baselines" (Bayesian timeSVD++ flipped). A user's (p_u, b_u) is normal around a sum over the items they rated, divided by √ of their
    number, whatever the rating was (SVD++), and an item's (q_i, b_i) around such a sum over its users ("flipped"). s_w(u, t) is how
    the user rates in the stretch of `sessions[w]` minutes that t is in. Values are scaled to variance 1; priors are weak
    (Gamma(1, .01) for every precision), so there is nothing to tune but size.

    Deviations. Vectors of a user, or of an item, are drawn as a whole given all others, not number by number, and those of the
    implicit sets as by Simm et al. 2017 (Macau), so draws forget the start sooner. Interactions within the user's side, or the item's,
    are left out: they are one number a user or item, as the bias is. Time is a bias of the user by stretches of several lengths
    instead of a vector a day: so it moves no ranking, only values. The average over draws is kept as one product of `rank` columns,
    of users' means given the rest (Rao-Blackwell).

    A user unseen in training gets the mean given the history, with the mean and covariance of all training users as prior; one with
    nothing gets the mean user. Predicted values stay inside the range seen in training. Where the moment asked about is not known, or in
    no stretch with a rating of the user, s is the user's mean over all ratings. A random split knows ratings just before and after the
    one asked about; figures with and without `sessions` differ by that. For ratings: events without values leave nothing to predict.
    """

    class Config(Settings):
        """Settings of `bfm`."""

        dim: int = Field(32, gt=0, description="size of a draw's user and item vectors")
        rank: int = Field(64, gt=0, description="size of the vectors that the average over draws is kept in")
        burn_in: int = Field(40, ge=0, description="draws left out at the beginning")
        draws: int = Field(100, gt=0, description="draws averaged")
        implicit: bool = Field(True, description="what was rated, whatever the value, says something of user and item")
        sessions: tuple[Annotated[float, Field(gt=0)], ...] = Field(
            (1.0, 10.0, 1440.0), description="minutes: users rate otherwise from one such stretch of time to the next"
        )
        seed: int = Field(0, ge=0, description="of the draws")

    solves = ("planted_bias",)
    needs_history = False

    config: Config
    user_vectors: Tensor
    """float32 (num_users, rank + 2): mean product, b_u + μ, 1"""
    item_vectors: Tensor
    """float32 (num_items, rank + 2): mean product, 1, b_i"""
    trained: Tensor
    """bool (num_users,)"""
    mean_user: Tensor
    """float32 (rank + 1,): of training users"""
    user_precision: Tensor
    """float32 (rank + 1, rank + 1): of training users"""
    noise_precision: Tensor
    """float32 (): of a value"""
    stretches: Tensor
    """int64 (stretches,): user and place in time of each, ascending within a length"""
    shifts: Tensor
    """float32 (stretches,): s of each"""
    bounds: Tensor
    """int64 (lengths + 1,): where the stretches of each length begin"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        size = config.rank + 1
        self.register_buffer("user_vectors", torch.zeros(schema.num_users, size + 1))
        self.register_buffer("item_vectors", torch.zeros(schema.num_items, size + 1))
        self.register_buffer("trained", torch.zeros(schema.num_users, dtype=torch.bool))
        self.register_buffer("mean_user", torch.zeros(size))
        self.register_buffer("user_precision", torch.eye(size))
        self.register_buffer("noise_precision", torch.ones(()))
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("bounds", torch.zeros(len(config.sessions) + 1, dtype=torch.int64))
        self.register_data_buffer("stretches", torch.int64)
        self.register_data_buffer("shifts")

    @classmethod
    def predicts_values(cls, loss: str | None) -> bool:
        return True

    def solve(self, interactions: Interactions) -> None:
        config, values = self.config, interactions.value.astype(np.float64)
        middle, scale = float(values.mean()), float(values.std()) or 1.0
        generator = np.random.default_rng(config.seed)
        chain = _Chain(config, self.schema, interactions, (values - middle) / scale, generator)
        sizes = self.schema.num_users, self.schema.num_items
        product, biases, noise = MeanProduct(config.rank), [torch.zeros(size) for size in sizes], 0.0
        shifts = [torch.zeros_like(one.shifts) for one in chain.sessions]
        for number in range(config.burn_in + config.draws):
            users = chain.step()
            if number >= config.burn_in:
                product.add(users[:, :-1], chain.items[:, :-1])
                for sums, one in zip(biases, (users, chain.items), strict=True):
                    sums += one[:, -1] / config.draws
                for sums, session in zip(shifts, chain.sessions, strict=True):
                    sums += session.means / config.draws
                noise += chain.noise_precision / config.draws
        usual = self._set_sessions(chain, [scale * one for one in shifts])
        left, right = (side * scale**0.5 for side in product.factors())
        ones = [torch.ones(size) for size in sizes]
        user_bias = middle + scale * biases[0] + usual
        self.user_vectors = torch.cat([left, torch.stack([user_bias, ones[0]], dim=1)], dim=1)
        self.item_vectors = torch.cat([right, torch.stack([ones[1], scale * biases[1]], dim=1)], dim=1)
        self.noise_precision = torch.tensor(noise / scale**2)
        self.low, self.high = torch.tensor(values.min()).float(), torch.tensor(values.max()).float()
        self.trained = torch.zeros(sizes[0], dtype=torch.bool)
        self.trained[chain.user] = True
        self._set_prior(self.user_vectors[self.trained][:, :-1])

    def encode_item(self, codes: Tensor | None = None) -> Tensor:
        return self.item_vectors.clone() if codes is None else self.item_vectors[codes]

    def encode_user(self, query: Query) -> Tensor:
        users = self.user_vectors[query.users]
        strange = (~self.trained[query.users]).nonzero().squeeze(1)
        if len(strange):
            users[strange, :-1] = self._from_history(query, strange)
            users[strange, -1] = 1.0
        return users

    def score_each(self, query: Query, items: Tensor, rows: Tensor | None = None, times: Tensor | None = None) -> Tensor:
        found = super().score_each(query, items, rows)
        if times is not None:
            users = query.users if rows is None else query.users[rows]
            for place, minutes in enumerate(self.config.sessions):
                keys = self.stretches[self.bounds[place] : self.bounds[place + 1]]
                if len(keys):
                    asked = _keys(users, times, minutes)
                    near = torch.searchsorted(keys, asked).clamp_max(len(keys) - 1)
                    found = found + torch.where(keys[near] == asked, self.shifts[self.bounds[place] + near], 0.0)
        return found.clamp(self.low, self.high)

    def _set_sessions(self, chain: _Chain, shifts: list[Tensor]) -> Tensor:
        """Sets the stretches of time; what is usual for a user, (num_users,), is left to the bias, where no time is asked about."""
        usual = torch.zeros(self.schema.num_users)
        counts = torch.bincount(chain.user, minlength=len(usual)).clamp_min(1)
        for session, values in zip(chain.sessions, shifts, strict=True):
            mean = torch.zeros_like(usual).index_add_(0, chain.user, values[session.owner]) / counts
            values -= mean[session.keys >> 34]
            usual += mean
        sizes = [len(one.keys) for one in chain.sessions] or [0] * len(self.config.sessions)
        self.bounds = torch.tensor([0, *sizes]).cumsum(0)
        self.stretches = torch.cat([torch.zeros(0, dtype=torch.int64), *(one.keys for one in chain.sessions)])
        self.shifts = torch.cat([torch.zeros(0), *shifts])
        return usual

    def _set_prior(self, users: Tensor) -> None:
        """Mean and precision of the rows of `users`; the covariance's diagonal is raised a little, so that it can be inverted."""
        self.mean_user = users.mean(0)
        centred = (users - self.mean_user).double()
        covariance = centred.T @ centred / len(users)
        covariance += (1e-3 * covariance.diagonal().mean() + 1e-6) * torch.eye(len(covariance), dtype=torch.float64)
        self.user_precision = torch.linalg.inv(covariance).float().contiguous()

    def _from_history(self, query: Query, rows: Tensor) -> Tensor:
        """(strangers, rank + 1): the mean of product and bias of the query's `rows`, given their histories."""
        place = torch.full((len(query),), -1, dtype=torch.int64, device=query.users.device)
        place[rows] = torch.arange(len(rows), device=rows.device)
        owner = place[query.rows]
        kept = (owner >= 0) & (query.items >= FIRST)
        items, values = query.items[kept], query.values[kept]
        size = self.config.rank + 1
        groups = Groups(owner[kept].cpu().numpy(), items.cpu().numpy(), len(rows), self.schema.num_items, size)
        goal = values - self.item_vectors[items, -1]
        prior = self.mean_user.expand(len(rows), -1)
        mean, _ = groups.solve(self.item_vectors[:, :-1], goal, prior, self.user_precision, float(self.noise_precision))
        return mean


def _keys(users: Tensor, times: Tensor, minutes: float) -> Tensor:
    """int64: one number for a user and the stretch of `minutes` that a time, µs since 1970, is in."""
    return (users << 34) + torch.div(times, round(minutes * _MINUTE), rounding_mode="floor")


class _Side:
    """The users' side of a chain, or the items': its vectors and what they are normal around."""

    def __init__(self, owner: np.ndarray, other: np.ndarray, sizes: tuple[int, int], config: Bfm.Config) -> None:
        dim = config.dim + 1
        self.groups = Groups(owner, other, *sizes, dim)
        self.around = torch.zeros(sizes[0], dim)
        self.implicit: SparseRegression | None = None
        if config.implicit:
            lengths = np.bincount(owner, minlength=sizes[0])
            shares = (1 / np.sqrt(lengths[owner])).astype(np.float32)
            self.implicit = SparseRegression(sp.csr_matrix((shares, (owner, other)), shape=sizes))
            self.weights = np.full(dim, 10, np.float32)
            """the precision of what each feature adds"""

    def prior(self, vectors: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draws what `vectors` are normal around, (size, dim), and their precision, (dim,)."""
        middle, self.precision = normal_gamma(vectors - self.around, generator)
        if self.implicit is not None:
            goal = (vectors - middle).numpy()
            coefficients = self.implicit.draw(goal, self.precision.numpy(), self.weights, generator)
            self.around = torch.from_numpy(self.implicit.features @ coefficients)
            self.weights = precision_of(coefficients, generator)
        return self.around + middle, self.precision


@dataclass(eq=False)
class _Session:
    """How users rate in each stretch of one length of time."""

    owner: Tensor
    """int64 (rows,): the stretch of each row"""
    keys: Tensor
    """int64 (stretches,), ascending"""
    counts: Tensor = field(init=False)
    shifts: Tensor = field(init=False)
    means: Tensor = field(init=False)
    """of the shifts, given all else"""
    precision: float = 10.0
    """of the shifts"""

    def __post_init__(self) -> None:
        self.counts = torch.bincount(self.owner, minlength=len(self.keys)).float()
        self.shifts = self.means = torch.zeros(len(self.keys))

    def step(self, rest: Tensor, noise_precision: float, generator: np.random.Generator) -> Tensor:
        """Draws the shifts given what the rest of the model leaves, (rows,), and returns what is left then."""
        rest = rest + self.shifts[self.owner]
        precision = self.precision + noise_precision * self.counts
        sums = torch.zeros_like(self.counts).index_add_(0, self.owner, rest)
        self.means = noise_precision * sums / precision
        noise = torch.from_numpy(generator.standard_normal(len(self.keys), dtype=np.float32))
        self.shifts = self.means + noise / precision.sqrt()
        self.precision = float(precision_of(self.shifts.numpy()[:, None], generator)[0])
        return rest - self.shifts[self.owner]


class _Chain:
    """The state of the Gibbs sampler: a draw of everything, from which `step` makes the next."""

    def __init__(
        self, config: Bfm.Config, schema: FeatureSchema, rows: Interactions, values: np.ndarray, generator: np.random.Generator
    ) -> None:
        self.user, self.item = (torch.from_numpy(codes.astype(np.int64)) for codes in (rows.user, rows.item))
        self.values, self.generator = torch.from_numpy(values.astype(np.float32)), generator
        sizes = schema.num_users, schema.num_items
        self.of_users = _Side(rows.user, rows.item, sizes, config)
        self.of_items = _Side(rows.item, rows.user, sizes[::-1], config)
        self.users, self.items = (
            torch.from_numpy(0.1 * generator.standard_normal((size, config.dim + 1), dtype=np.float32)) for size in sizes
        )
        self.noise_precision = 1.0
        self.sessions = []
        for minutes in config.sessions if rows.has_times else ():
            keys, owner = torch.unique(_keys(self.user, torch.from_numpy(rows.time), minutes), return_inverse=True)
            self.sessions.append(_Session(owner, keys))

    def step(self) -> Tensor:
        """Draws everything anew, a part at a time given the rest; returns the users' means given the items, (users, dim + 1)."""
        self.items = self._vectors(self.of_items, self.items, self.users, self.user)[1]
        means, self.users = self._vectors(self.of_users, self.users, self.items, self.item)
        rest = self._rest()
        for session in self.sessions:
            rest = session.step(rest, self.noise_precision, self.generator)
        self.noise_precision = float(precision_of(rest.numpy()[:, None], self.generator)[0])
        return means

    def _vectors(self, side: _Side, own: Tensor, others: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        around, precision = side.prior(own, self.generator)
        goal = self.values - self._shift() - others[other, -1]
        regressors = torch.cat([others[:, :-1], torch.ones(len(others), 1)], dim=1)
        return side.groups.solve(regressors, goal, around, precision.diag(), self.noise_precision, self.generator)

    def _shift(self) -> Tensor | float:
        return sum((session.shifts[session.owner] for session in self.sessions), torch.zeros(()))

    def _rest(self) -> Tensor:
        """What the model leaves of each value."""
        fitted = [
            (self.users[user, :-1] * self.items[item, :-1]).sum(1) + self.users[user, -1] + self.items[item, -1]
            for user, item in zip(self.user.split(_CHUNK), self.item.split(_CHUNK), strict=True)
        ]
        return self.values - torch.cat(fitted) - self._shift()
