"""The one loop that fits every gradient-trained model: a generator that yields how it goes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tastemaker.data.interactions import Interactions
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError, DataError, DivergenceError
from tastemaker.models.base import Batch, Model, PairModel, RetrievalModel
from tastemaker.train import checkpoint as checkpoints
from tastemaker.train import losses
from tastemaker.train.config import TrainConfig
from tastemaker.train.loader import Baskets, Loader, Pairs, Sequences
from tastemaker.train.optim import optimizer as make_optimizer
from tastemaker.train.optim import schedule
from tastemaker.train.sampling import Sampler, sampler
from tastemaker.train.softmax import full_softmax

Validate = Callable[[Model], float]
"""A metric of the model on held-out data; higher is better."""


@dataclass(frozen=True)
class Record:
    """How training goes: one about every half second, and one with `complete` at the end of each epoch."""

    epoch: int
    """Counted from 1."""
    epochs: int
    share: float
    """Of the epoch's targets done."""
    loss: float
    """Mean over the targets of this epoch so far."""
    targets_per_second: float
    seconds: float
    """Training time of the whole run so far, validation not counted."""
    complete: bool = False
    metric: float | None = None
    """The validation metric, when this epoch was validated."""
    best_metric: float | None = None
    best_epoch: int = 0


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
    step_loss = _StepLoss(model, interactions, config, device)
    optimizer = make_optimizer(config.optimizer, model.parameters(), config.learning_rate, config.weight_decay, config.betas)
    identity = _identity(model, interactions, config)
    state = checkpoints.State()
    if resume and checkpoint is not None and checkpoint.exists():
        state = checkpoints.load(checkpoint, model, optimizer, identity)
    total_steps = config.epochs * -(-loader.num_targets // config.batch_targets)

    while state.epoch < config.epochs and state.misses < config.patience:
        model.train()
        torch.manual_seed(int(np.random.default_rng([config.seed, state.epoch]).integers(2**63)))
        done, summed, began, ticked, before = (
            0,
            torch.zeros((), device=device),
            time.perf_counter(),
            time.perf_counter(),
            state.seconds,
        )
        for batch in loader.epoch(state.epoch, config.seed, config.batch_targets):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * schedule(config.schedule, state.step, config.warmup, total_steps)
            model.forget()  # what it kept for speed goes with the weights it came from
            loss = step_loss(batch.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            state.step += 1
            done += len(batch.targets)
            summed += loss.detach() * len(batch.targets)
            now = time.perf_counter()
            state.seconds = before + now - began
            if now - ticked > 0.5:
                ticked = now
                yield _record(state, config, summed, done, loader.num_targets, now - began)
        mean = float(summed) / done
        _check(mean, state, config)
        state.epoch += 1
        state.best_loss = min(state.best_loss, mean)
        metric = None
        if validate is not None and (state.epoch % config.validate_every == 0 or state.epoch == config.epochs):
            model.eval()
            model.forget()
            metric = validate(model)
            if state.best_metric is None or metric > state.best_metric:
                state.best_metric, state.best_epoch, state.misses = metric, state.epoch, 0
                state.best_weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
            else:
                state.misses += 1
        if checkpoint is not None:
            checkpoints.save(checkpoint, model, optimizer, state, identity)
        yield _record(state, config, summed, done, loader.num_targets, state.seconds - before, complete=True, metric=metric)
    if state.best_weights:
        model.load_state_dict(state.best_weights)
    model.forget()
    model.eval()


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


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, else the CPU. Raises ConfigError for a device that is not here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r}", expected='"auto", "cpu", "cuda" or "cuda:N"') from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no CUDA device here", expected=f"device {name!r}", hint='use device = "auto"')
    return device


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, else float32."""
    if precision == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
        flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return torch.bfloat16 if flags.get("avx512_bf16") or flags.get("amx_bf16") else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


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
        if config.sampler:
            counts = np.bincount(interactions.item, minlength=model.schema.num_items)
            self.sampler = sampler(config.sampler, counts, config.alpha)

    def __call__(self, batch: Batch) -> Tensor:
        model = self.model
        if isinstance(model, PairModel):
            return self._of_pairs(model, batch)
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
            users, table = encoded.users, model.encode_item()
            loss = full_softmax(users, table[FIRST:], targets - FIRST, weights, rows=encoded.rows, dtype=self.dtype)
            vectors = [users] if not config.l2 and not config.l1 else [users, table.index_select(0, targets)]
        else:
            users = encoded.users if encoded.rows is None else encoded.users.index_select(0, encoded.rows)
            vectors = [users, model.encode_item(targets)]
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


def _record(
    state: checkpoints.State,
    config: TrainConfig,
    summed: Tensor,
    done: int,
    total: int,
    seconds: float,
    *,
    complete: bool = False,
    metric: float | None = None,
) -> Record:
    assert config.epochs
    return Record(
        epoch=state.epoch if complete else state.epoch + 1,
        epochs=config.epochs,
        share=done / total,
        loss=float(summed) / max(1, done),
        targets_per_second=done / max(seconds, 1e-9),
        seconds=state.seconds,
        complete=complete,
        metric=metric,
        best_metric=state.best_metric,
        best_epoch=state.best_epoch,
    )


def _check(loss: float, state: checkpoints.State, config: TrainConfig) -> None:
    if np.isfinite(loss) and (loss < 10 * abs(state.best_loss) + 10):
        return
    what = "became NaN or infinite" if not np.isfinite(loss) else f"exploded from {state.best_loss:.3g} to {loss:.3g}"
    raise DivergenceError(
        f"the loss {what} in epoch {state.epoch + 1}",
        hint=f"lower train.learning_rate (now {config.learning_rate}), or set train.clip = 1.0 and train.warmup = 200",
    )


def _identity(model: Model, interactions: Interactions, config: TrainConfig) -> str:
    """What a checkpoint belongs to: same model, settings and data (the number of epochs may grow)."""
    digest = hashlib.sha256(f"{type(model).__name__}{model.config!r}{model.schema!r}".encode())
    digest.update(config.model_copy(update={"epochs": 0, "threads": None, "device": ""}).model_dump_json().encode())
    for column in (interactions.user, interactions.item):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
