"""Fitting an encoder to the task: the vectors of what a user took last should point to what they took next.

```
history  v₁ … v_k  →  u = Σ recency^(k-i) v_i, of unit length          loss = -log softmax_t(u·v_t / temperature - log q_t)
```
over the distinct targets t of the step. q_t is the probability that a step has t, so popular items are not pushed away for being met often
(Bengio & Senécal 2008; Yi et al. 2019, "Sampling-bias-corrected neural modeling"). Nothing here knows what is encoded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.base import Progress
from tastemaker.errors import TrainingError
from tastemaker.log import logger
from tastemaker.settings import Settings

_JUDGED = 256  # held-out examples at most
_FEWEST = 16  # and at least, or nothing is held out


class TuningSettings(Settings):
    """How an encoder is fitted to what users take next, and when that ends: whichever bound comes first."""

    epochs: int = Field(10, ge=0, description="times the examples are gone through; 0: the encoder stays as it begins")
    steps: int = Field(2000, ge=1, description="steps at most")
    minutes: float | None = Field(
        None, gt=0, description="minutes at most, by the clock, so that two runs may end differently; none: no bound"
    )
    batch: int = Field(64, ge=2, description="examples a step: a user's last items, and the next")
    history: int = Field(5, ge=1, description="last items that make a user")
    recency: float = Field(
        0.8, gt=0, le=1, description="weight of an item of a history against the one after it; 1: a plain mean"
    )
    temperature: float = Field(0.05, gt=0, description="cosines are divided by it")
    learning_rate: float | None = Field(
        None, gt=0, description="of AdamW, after a tenth of the steps of warm-up, falling to 0; default: the encoder's own"
    )
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    held_out: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of users whose last choice judges; the weights that do best on it are kept; 0: the last",
    )
    checks: int = Field(5, ge=1, description="times that is judged, after the beginning")
    seed: int = Field(0, ge=0, description="of order, dropout and who is held out")


@dataclass(frozen=True)
class Tuned:
    """What tuning came to."""

    steps: int
    seconds: float
    trained: int
    """weights that were trained"""
    weights: int
    """weights in all"""
    losses: tuple[float, ...]
    """on the users held out: at the beginning, then after each check; empty where none are"""
    best: int
    """place in `losses` of the weights that were kept"""


@dataclass(frozen=True, eq=False)
class _Examples:
    """Contents (places) in the order of users' events; example e has the target `places[ends[e]]` and the history before it."""

    places: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def part(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Targets (n,), histories one after the other, and their lengths (n,)."""
        starts, ends = self.starts[chosen], self.ends[chosen]
        lengths = ends - starts
        at = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        return self.places[ends], self.places[at], lengths


def tune(
    module: nn.Module,
    parameters: Sequence[Tensor],
    encode: Callable[[np.ndarray], Tensor],
    contents: np.ndarray,
    train: Interactions,
    settings: TuningSettings,
    progress: Progress | None = None,
    *,
    learning_rate: float = 1e-3,
) -> Tuned:
    """Trains `parameters` in place; the weights kept are those that did best on the users held out, the first among them.

    Args:
        module: put in training mode for steps and in evaluation mode for the rest.
        parameters: leaf tensors that need a gradient.
        encode: vectors of unit length (n, dim) of the contents at places int64 (n,), distinct, with a gradient. What is different in
            training, such as augmentation, goes by `module.training`.
        contents: int64 (item codes,): the place of each item's content, equal for items of equal content; -1 where there is none.
        train: who did what.
        settings: bounds and rates.
        progress: told of steps.
        learning_rate: where the settings leave it open.

    Raises:
        TrainingError: the loss is no number.
    """
    began = time.monotonic()
    examples = _examples(contents, train, settings.history)
    learned, judged = _parted(examples, settings)
    weights = {id(value): value.numel() for value in (*module.parameters(), *parameters)}
    trained, everything = sum(value.numel() for value in parameters), sum(weights.values())
    total = min(settings.steps, settings.epochs * -(-len(learned) // settings.batch))
    if not total:
        if settings.epochs:
            logger.info("nobody has two items with content: the encoder stays as it began")
        return Tuned(0, 0.0, trained, everything, (), 0)
    log_q = torch.from_numpy(_log_odds(examples, settings.batch, int(contents.max()) + 1))
    optimiser = torch.optim.AdamW(parameters, settings.learning_rate or learning_rate, weight_decay=settings.weight_decay)
    warmup = max(1, total // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warmup, (total - step) / max(1, total - warmup))
    )
    marks = {round(total * check / settings.checks) for check in range(1, settings.checks + 1)}
    losses: list[float] = []
    kept: list[Tensor] = []
    best, step = 0, 0

    def judge() -> None:
        nonlocal best
        if not len(judged):
            return
        module.eval()
        with torch.no_grad():
            losses.append(float(_loss(encode, examples.part(judged), log_q, settings)))
        if not kept or losses[-1] < losses[best]:
            best = len(losses) - 1
            kept[:] = [value.detach().clone() for value in parameters]
        logger.info("step %d of %d: loss %.4f on %d users held out", step, total, losses[-1], len(judged))

    was = module.training
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        judge()
        for step, chosen in enumerate(_batches(learned, total, settings), 1):
            module.train()
            loss = _loss(encode, examples.part(chosen), log_q, settings)
            if not torch.isfinite(loss):
                raise TrainingError(f"a loss of {loss.item()} at step {step} of tuning", hint="lower tuning.learning_rate")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            late = settings.minutes is not None and time.monotonic() - began > 60 * settings.minutes
            if step in marks or late:
                judge()
            if progress:
                progress(total if late else step, total)
            if late:
                break
    module.train(was)
    if kept:
        with torch.no_grad():
            for value, held in zip(parameters, kept, strict=True):
                value.copy_(held)
    return Tuned(step, time.monotonic() - began, trained, everything, tuple(losses), best)


def _examples(contents: np.ndarray, train: Interactions, history: int) -> _Examples:
    """Each event but a user's first, with up to `history` before it; events of items without content are passed over."""
    known = np.append(contents, -1)  # codes beyond those described
    places = known[np.minimum(train.item, len(contents))]
    there = places >= 0
    places, user = places[there], train.user[there]
    first = np.concatenate([[True], user[1:] != user[:-1]]) if len(user) else np.zeros(0, bool)
    begin = np.maximum.accumulate(np.where(first, np.arange(len(user)), 0)) if len(user) else np.zeros(0, np.int64)
    ends = np.flatnonzero(~first)
    return _Examples(places, np.maximum(begin[ends], ends - history), ends)


def _parted(examples: _Examples, settings: TuningSettings) -> tuple[np.ndarray, np.ndarray]:
    """Which examples are learned from, and which judge: the last ones of users held out, none of whose others are learned from."""
    everything = np.arange(len(examples.ends))
    if not len(everything) or not settings.held_out:
        return everything, everything[:0]
    begins = np.concatenate([[True], np.diff(examples.ends) != 1])  # between two users stands the first event of the second
    user = np.cumsum(begins) - 1
    count = min(_JUDGED, round(settings.held_out * (user[-1] + 1)))
    if count < _FEWEST:
        return everything, everything[:0]
    chosen = np.random.default_rng([settings.seed, 0]).permutation(user[-1] + 1)[:count]
    lasts = np.flatnonzero(np.append(begins[1:], True))
    return everything[~np.isin(user, chosen)], np.sort(lasts[chosen])


def _log_odds(examples: _Examples, batch: int, size: int) -> np.ndarray:
    """float32 (size,): log of the probability that a step's targets have this content."""
    counts = np.bincount(examples.places[examples.ends], minlength=size)
    share = np.maximum(counts, 1) / max(1, counts.sum())
    return np.log(-np.expm1(batch * np.log1p(-np.minimum(share, 1 - 1e-9)))).astype(np.float32)


def _batches(learned: np.ndarray, total: int, settings: TuningSettings) -> Iterator[np.ndarray]:
    done = 0
    for epoch in range(math.ceil(total * settings.batch / len(learned)) + 1):
        order = np.random.default_rng([settings.seed, 2, epoch]).permutation(learned)
        for start in range(0, len(order), settings.batch):
            if done == total:
                return
            done += 1
            yield order[start : start + settings.batch]


def _loss(
    encode: Callable[[np.ndarray], Tensor],
    part: tuple[np.ndarray, np.ndarray, np.ndarray],
    log_q: Tensor,
    settings: TuningSettings,
) -> Tensor:
    """Mean over the examples; whatever several of them have in common is encoded once."""
    targets, histories, lengths = part
    needed, places = np.unique(np.concatenate([targets, histories]), return_inverse=True)
    vectors = encode(needed)
    at = torch.from_numpy(places)
    target, history = at[: len(targets)], at[len(targets) :]
    row = torch.from_numpy(np.repeat(np.arange(len(targets)), lengths))
    age = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(histories))
    weight = torch.from_numpy((settings.recency**age).astype(np.float32)).to(vectors.device)
    device = vectors.device
    users = vectors.new_zeros(len(targets), vectors.shape[1])
    users = F.normalize(users.index_add(0, row.to(device), vectors[history.to(device)] * weight.unsqueeze(1)), dim=1)
    candidates, positive = target.unique(return_inverse=True)
    logits = users @ vectors[candidates.to(device)].T / settings.temperature
    logits = logits - log_q[torch.from_numpy(needed)[candidates]].to(device)
    # What a user already has is no wrong answer, but for the one thing that is the right one.
    column = torch.full((len(needed),), -1, dtype=torch.int64)
    column[candidates] = torch.arange(len(candidates))
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    met = column[history] >= 0
    seen[row[met], column[history][met]] = True
    seen[torch.arange(len(targets)), positive] = False
    return F.cross_entropy(logits.masked_fill(seen.to(device), -math.inf), positive.to(device))
