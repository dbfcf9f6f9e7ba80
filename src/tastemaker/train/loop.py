"""The one loop that fits by gradients, whatever is fitted: epochs, validation, early stopping, checkpoints, records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tastemaker.errors import DivergenceError
from tastemaker.train import checkpoint as checkpoints
from tastemaker.train.config import LoopConfig
from tastemaker.train.optim import schedule


class Examples(Protocol):
    """One step's worth of what is learned from."""

    def __len__(self) -> int:
        """How many targets."""

    def to(self, device: torch.device) -> Any:
        """The same on a device."""


class Loader(Protocol):
    """What is learned from, dealt out anew each epoch."""

    num_targets: int

    def epoch(self, number: int, seed: int, batch_targets: int) -> Iterator[Any]:
        """All examples once, in an order that depends on seed and epoch number alone."""


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


def epochs(
    model: nn.Module,
    loader: Loader,
    step_loss: Callable[[Any], Tensor],
    optimizer: torch.optim.Optimizer,
    config: LoopConfig,
    device: torch.device,
    *,
    batch_targets: int,
    identity: str,
    validate: Callable[[], float] | None = None,
    before_step: Callable[[], None] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Iterator[Record]:
    """Fits the model in place; when the generator is exhausted the model holds the best weights, in eval mode.

    Args:
        step_loss: the mean loss of a batch.
        config: with every open choice made.
        batch_targets: targets a step.
        identity: what a checkpoint belongs to; one of another identity is refused.
        validate: a metric, higher is better, of the model in eval mode.
        before_step: called before each step and before validation, to drop what was kept from older weights.
    """
    assert config.epochs and config.patience and config.learning_rate
    drop = before_step or (lambda: None)
    state = checkpoints.State()
    if resume and checkpoint is not None and checkpoint.exists():
        state = checkpoints.load(checkpoint, model, optimizer, identity)
    total_steps = config.epochs * -(-loader.num_targets // batch_targets)

    while state.epoch < config.epochs and state.misses < config.patience:
        model.train()
        torch.manual_seed(int(np.random.default_rng([config.seed, state.epoch]).integers(2**63)))
        done, summed, before = 0, torch.zeros((), device=device), state.seconds
        began = ticked = time.perf_counter()
        for batch in loader.epoch(state.epoch, config.seed, batch_targets):
            factor = schedule(config.schedule, state.step, config.warmup, total_steps, state.drops)
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * factor
            drop()
            loss = step_loss(batch.to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if config.clip:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            state.step += 1
            done += len(batch)
            summed += loss.detach() * len(batch)
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
            drop()
            metric = validate()
            if state.best_metric is None or metric > state.best_metric:
                state.best_metric, state.best_epoch, state.misses = metric, state.epoch, 0
                state.best_weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
            else:
                state.misses += 1
                state.drops += 1
        if checkpoint is not None:
            checkpoints.save(checkpoint, model, optimizer, state, identity)
        yield _record(state, config, summed, done, loader.num_targets, state.seconds - before, complete=True, metric=metric)
    if state.best_weights:
        model.load_state_dict(state.best_weights)
    drop()
    model.eval()


def _record(
    state: checkpoints.State,
    config: LoopConfig,
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


def _check(loss: float, state: checkpoints.State, config: LoopConfig) -> None:
    if np.isfinite(loss) and (loss < 10 * abs(state.best_loss) + 10):
        return
    what = "became NaN or infinite" if not np.isfinite(loss) else f"exploded from {state.best_loss:.3g} to {loss:.3g}"
    raise DivergenceError(
        f"the loss {what} in epoch {state.epoch + 1}",
        hint=f"lower train.learning_rate (now {config.learning_rate}), or set train.clip = 1.0 and train.warmup = 200",
    )
