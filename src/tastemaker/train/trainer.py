"""Fitting a retrieval model by gradients: a generator that yields how it goes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError, DataError
from tastemaker.models.base import Batch, GenerativeModel, Model, PairModel, RetrievalModel
from tastemaker.train import losses
from tastemaker.train.config import TrainConfig
from tastemaker.train.devices import pick_device, pick_dtype
from tastemaker.train.loader import Baskets, Pairs, Sequences
from tastemaker.train.loop import Loader, Record, epochs
from tastemaker.train.optim import optimizer as make_optimizer
from tastemaker.train.sampling import Sampler, sampler
from tastemaker.train.softmax import full_softmax

Validate = Callable[[Model], float]
"""A metric of the model on held-out data; higher is better."""


def train(
    model: Model,
    interactions: Interactions,
    config: TrainConfig,
    *,
    validate: Validate | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Iterator[Record]:
    """Fits the model in place; when the generator is exhausted the model holds the best weights.

    Args:
        model: a model with `learns_from`; it stays on the device it was trained on.
        interactions: the training side.
        config: open choices are made here (`config.adapted`).
        validate: called with the model in eval mode every `validate_every` epochs; decides early stopping and which weights are kept.
            Without it the last weights are kept.
        checkpoint: a file to go on from; written at the end of each epoch.
        resume: go on from `checkpoint` if it exists.

    Everything random depends on (seed, epoch) alone, so a run that is killed and resumed on as many threads ends with the weights of
    one that was not.

    Raises:
        DivergenceError: the loss became NaN or exploded.
        DataError: there is nothing to learn from.
    """
    loader = make_loader(model, interactions, config)
    if not loader.num_targets:
        raise DataError(
            "no training examples", expected="users with two or more events", hint="lower min_per_user or min_per_item"
        )
    config = config.adapted(model.learns_from, model.defaults(config.loss), loader.num_targets, model.schema.num_items)
    loader = make_loader(model, interactions, config)  # what an example is depends on the loss
    assert config.epochs and config.batch_targets and config.patience and config.learning_rate
    if config.threads:
        torch.set_num_threads(config.threads)
    device = pick_device(config.device)
    model.observe(interactions)
    model.to(device)
    yield from epochs(
        model,
        loader,
        _StepLoss(model, interactions, config, device),
        make_optimizer(config.optimizer, model.parameters(), config.learning_rate, config.weight_decay, config.betas),
        config,
        device,
        batch_targets=config.batch_targets,
        identity=_identity(model, interactions, config),
        validate=None if validate is None else lambda: validate(model),
        before_step=model.begin_step,  # what it kept for speed goes with the weights it came from
        checkpoint=checkpoint,
        resume=resume,
    )


def make_loader(model: Model, interactions: Interactions, config: TrainConfig) -> Loader:
    """The examples that suit what the model learns from."""
    if model.learns_from == "sequences":
        return Sequences(interactions, model.schema.num_users, model.config.max_length, slide=config.slide)
    if model.learns_from == "baskets":
        return Baskets(interactions, model.schema.num_users, known=True)
    if model.learns_from == "pairs":
        by_user = config.loss == "cross_entropy"  # which costs by user, not by pair
        return Baskets(interactions, model.schema.num_users) if by_user else Pairs(interactions)
    raise ConfigError(f"{type(model).__name__} is not trained by gradients", hint="call its `solve`")


class _StepLoss:
    """The loss of a batch, penalties included."""

    def __init__(self, model: Model, interactions: Interactions, config: TrainConfig, device: torch.device) -> None:
        self.model, self.config, self.device = model, config, device
        self.dtype = pick_dtype(config.precision, device)
        self.plain = bool((interactions.weight == 1).all())
        self.generator = torch.Generator().manual_seed(config.seed)
        self.sampler: Sampler | None = None
        if isinstance(model, PairModel):
            idle = next((name for name in ("l2", "l1", "adversarial") if getattr(config, name)), None)
            if idle or config.loss in ("cross_entropy", "directau"):
                raise ConfigError(
                    f"train.{idle} = {getattr(config, idle)}" if idle else f"train.loss = {config.loss!r}",
                    expected=f"something that {type(model).__name__} can use: it scores pairs and has no vectors",
                    hint="use train.weight_decay" if idle else "use train.loss = 'bce'",
                )
        if isinstance(model, GenerativeModel):
            if config.loss != "cross_entropy":
                raise ConfigError(
                    f"train.loss = {config.loss!r} for a model that spells items",
                    expected="cross_entropy, of their tokens",
                    hint="remove train.loss",
                )
            idle = next((name for name in ("l2", "l1", "adversarial") if getattr(config, name)), None)
            if idle:
                raise ConfigError(f"train.{idle} for a model without item vectors", expected="train.weight_decay in its place")
        if config.sampler:
            counts = np.bincount(interactions.item, minlength=model.schema.num_items)
            self.sampler = sampler(config.sampler, counts, config.alpha, only_seen=model.trained_items is not None)

    def __call__(self, batch: Batch) -> Tensor:
        model = self.model
        if isinstance(model, PairModel):
            return self._of_pairs(model, batch)
        if isinstance(model, GenerativeModel):
            return _mean(model.surprise(batch), None if self.plain else batch.weights)
        assert isinstance(model, RetrievalModel)
        return self._of_vectors(model, batch)

    def _of_vectors(self, model: RetrievalModel, batch: Batch) -> Tensor:
        config = self.config
        encoded = model.encode_batch(batch)
        targets, values, weights = batch.targets, batch.values, None if self.plain else batch.weights
        if encoded.asked is not None:
            targets, values = targets[encoded.asked], values[encoded.asked]
            weights = None if weights is None else weights[encoded.asked]
        if config.loss == "cross_entropy":
            users, table, places = encoded.users, *self._catalogue(model, targets)
            loss = full_softmax(users, table, places, weights, rows=encoded.rows, dtype=self.dtype)
            vectors = [users] if not config.l2 and not config.l1 else [users, table.index_select(0, places)]
        else:
            users = encoded.users if encoded.rows is None else encoded.users.index_select(0, encoded.rows)
            vectors = [users, model.encode_item(targets) if encoded.items is None else encoded.items]
            if config.loss == "squared_error":
                loss = _mean(losses.squared_error((users * vectors[1]).sum(-1), values), weights)
            elif config.loss == "directau":
                loss = _mean(losses.alignment_uniformity(*vectors, gamma=config.uniformity), weights)
            else:
                drawn, log_q = self._draw(targets)
                vectors.append(model.encode_item(drawn))
                loss = self._pushed(partial(self._against, targets=targets, drawn=drawn, log_q=log_q, weights=weights), vectors)
        if config.l2:
            loss = loss + config.l2 * sum(vector.square().sum() for vector in vectors) / len(targets)
        if config.l1:
            loss = loss + config.l1 * sum(vector.abs().sum() for vector in vectors) / len(targets)
        return loss if encoded.penalty is None else loss + encoded.penalty

    def _catalogue(self, model: RetrievalModel, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of all items that are compared with, and the places of the targets among them."""
        codes, table = model.trained_items, model.encode_item()
        if codes is None:
            return table[FIRST:], targets - FIRST
        return table.index_select(0, codes), torch.searchsorted(codes, targets)

    def _of_pairs(self, model: PairModel, batch: Batch) -> Tensor:
        weights = None if self.plain else batch.weights
        if self.config.loss == "squared_error":
            predicted = model.score_each(batch.query, batch.targets.unsqueeze(1)).squeeze(1)
            return _mean(losses.squared_error(predicted, batch.values), weights)
        drawn, log_q = self._draw(batch.targets)
        rows = drawn if drawn.dim() == 2 else drawn.expand(len(batch.targets), -1)
        scores = model.score_each(batch.query, torch.cat([batch.targets.unsqueeze(1), rows], dim=1))
        return self._compared(scores[:, 0], scores[:, 1:], batch.targets, drawn, log_q, weights)

    def _draw(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and log q of the negatives: (n,) for all, or (batch, n)."""
        config = self.config
        assert self.sampler and config.num_negatives
        # The torch generator is seeded for each epoch, so the sampler draws from it through one number.
        self.generator.manual_seed(int(torch.randint(2**62, ())))
        rows = 0 if config.shared or config.loss == "softmax" else len(targets)
        drawn = self.sampler(targets.cpu(), rows, config.num_negatives * config.hard, self.generator)
        return drawn.codes.to(self.device), drawn.log_q.to(self.device)

    def _against(
        self,
        users: Tensor,
        items: Tensor,
        vectors: Tensor,
        targets: Tensor,
        drawn: Tensor,
        log_q: Tensor,
        weights: Tensor | None,
    ) -> Tensor:
        """The loss of user and item vectors (batch, dim) against negatives (n, dim) or (batch, n, dim)."""
        negative = users @ vectors.T if drawn.dim() == 1 else (vectors @ users.unsqueeze(-1)).squeeze(-1)
        return self._compared((users * items).sum(-1), negative, targets, drawn, log_q, weights)

    def _compared(
        self, positive: Tensor, negative: Tensor, targets: Tensor, drawn: Tensor, log_q: Tensor, weights: Tensor | None
    ) -> Tensor:
        config = self.config
        assert config.loss
        negative = negative.masked_fill(drawn == targets.unsqueeze(1), -torch.inf)
        if config.hard > 1:
            negative = negative.view(len(negative), -1, config.hard).amax(-1)
        options: dict[str, dict[str, float]] = {
            "gbce": {"num_items": self.model.schema.num_items - FIRST, "t": config.gbce_t},
            "bpr_max": {"penalty": config.bpr_max_penalty},
            "ccl": {"margin": config.ccl_margin, "weight": config.ccl_weight},
        }
        return _mean(losses.SAMPLED[config.loss](positive, negative, log_q, **options.get(config.loss, {})), weights)

    def _pushed(self, loss_of: Callable[..., Tensor], vectors: list[Tensor]) -> Tensor:
        """The loss, and with `adversarial` also the loss after the step of that length in which it grows most (He et al. 2018, eq. 9).

        Each vector is pushed by itself, along its own gradient; the push counts as a constant.
        """
        loss, config = loss_of(*vectors), self.config
        if not config.adversarial:
            return loss
        slopes = torch.autograd.grad(loss, vectors, retain_graph=True)
        moved = [
            vector + config.adversarial * torch.nn.functional.normalize(slope, dim=-1, eps=1e-20)
            for vector, slope in zip(vectors, slopes, strict=True)
        ]
        return loss + config.adversarial_weight * loss_of(*moved)


def _mean(rows: Tensor, weights: Tensor | None) -> Tensor:
    return rows.mean() if weights is None else (rows * weights).sum() / weights.sum()


def _identity(model: Model, interactions: Interactions, config: TrainConfig) -> str:
    """What a checkpoint belongs to: same model, settings and data (the number of epochs may grow)."""
    digest = hashlib.sha256(f"{type(model).__name__}{model.config!r}{model.schema!r}".encode())
    digest.update(config.model_copy(update={"epochs": 0, "threads": None, "device": ""}).model_dump_json().encode())
    for column in (interactions.user, interactions.item):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
