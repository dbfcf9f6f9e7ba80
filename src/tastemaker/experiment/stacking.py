"""Stacking: the weights of a blend are learned on the validation side, which its parts have not learned from.

```
minimise   mean over users of [ log Σ exp(s) over the user's candidates - mean s over the right ones among them ]
         + l2 / users · ½ (Σ w² / knots + 10 Σ (w_k+1 - w_k)²)          s = Σ w · standardised score, w ≥ 0
```
The first line is the listwise likelihood of Cao et al. 2007 ("Learning to rank: from pairwise approach to listwise approach", top-one
probability); stacking itself is Wolpert 1992 ("Stacked generalization"). It is convex in the few weights, so L-BFGS-B with exact gradients
finds the one minimum. A user's candidates are the best of each part, less what no list may hold: over the whole catalogue most of the
likelihood lies with items that no list would reach, and weights that suit those suit lists less (measured: `docs/log.md`). Users none
of whose answers is a candidate teach nothing.

No weight is below 0 (Breiman 1996, "Stacked regressions"): with parts that agree as much as recommenders do, signs would come from noise, and a
list is not to be built on what a part dislikes.

With a gate (see `models/blend.py`) there are weights at each knot of the history's length. The last term keeps those at knots where few
users are near those of their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, TypeGuard

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST
from tastemaker.errors import ConfigError
from tastemaker.experiment.judge import Judge
from tastemaker.models.base import Model, Query
from tastemaker.models.blend import KNOTS, Blend

BEST = 50
"""candidates that each part brings"""
_SMOOTH = 10.0
_BATCH = 256


def learns(model: Model) -> TypeGuard[Blend]:
    """Whether a model is a blend whose weights are to be learned."""
    return isinstance(model, Blend) and model.config.weights == "learned"


def check(model: Model, can_choose: bool) -> None:
    """Raises ConfigError where weights are to be learned, but there is no validation side."""
    if learns(model) and not can_choose:
        raise ConfigError(
            'weights = "learned" without a validation side',
            expected="users to learn weights from",
            hint="let [split] keep validation rows, or give the parts weights",
        )


def learn(model: Model, judge: Judge) -> None:
    """Learns the weights of a blend that asks for it, in place; other models are left alone."""
    if learns(model):
        model.learned = Stack.of(model, judge).weights(model.config.l2)


def notes(model: Model) -> list[str]:
    """What a report says of learned weights."""
    if not learns(model):
        return []
    return [f"weights learned on the validation side, whose own figures therefore flatter a little: {told(model)}"]


def pass_on(earlier: Model, model: Model) -> None:
    """Gives a blend whose parts learned from the validation side too the weights that were learned before they did."""
    if learns(earlier) and learns(model):
        model.learned = earlier.learned.clone()


def crossed(model: Blend, judge: Judge) -> np.ndarray:
    """The validation metric of each user under weights learned from the other half of the users; the model is left with those of all."""
    stack, values = Stack.of(model, judge), judge.values()
    first: np.ndarray | None = None
    for half in (0, 1):
        model.learned = stack.weights(model.config.l2, stack.users % 2 != half)
        judged = values(model)
        first = judged if first is None else np.where(np.arange(len(judged)) % 2, judged, first)
    model.learned = stack.weights(model.config.l2)
    return judged if first is None else first


def told(model: Blend) -> str:
    """The learned weights in words."""
    rows = [
        ", ".join(f"{part.model} {weight:.2f}" for part, weight in zip(model.config.parts, row, strict=True))
        for row in model.learned.tolist()
    ]
    return rows[0] if len(rows) == 1 else "; ".join(f"at {knot} events {row}" for knot, row in zip(KNOTS, rows, strict=True))


@dataclass(frozen=True, eq=False)
class Stack:
    """What the parts of a blend say to users whose answers are known."""

    users: np.ndarray
    """int64 (n,): places among the questions that choices are made by"""
    scores: Tensor
    """float32 (parts, n, candidates): standardised"""
    allowed: Tensor
    """bool (n, candidates): False where an item stands there already or is seen"""
    right: Tensor
    """float32 (n, candidates): 1 / their number at right ones"""
    knots: Tensor
    """float32 (n, knots)"""

    @classmethod
    @torch.inference_mode()
    def of(cls, model: Blend, judge: Judge) -> Self:
        """Asks the parts, which must be fitted on the training side alone."""
        questions, num_items = judge.choosing(), model.schema.num_items
        found: list[tuple[Tensor, ...]] = []
        for start in range(0, len(questions), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(questions)))
            query = Query.of(questions.asked_as[rows], questions.histories.take(rows))
            said, truth = model.standardised(query), _cells(questions.truth.take(rows), num_items)
            barred = torch.zeros_like(truth, dtype=torch.bool)
            barred[:, :FIRST] = True
            if judge.config.filter_seen:
                barred |= _cells(questions.seen.take(rows), num_items) > 0
            best = said.masked_fill(barred, -torch.inf).topk(min(BEST, num_items - FIRST), dim=2).indices
            items = best.transpose(0, 1).flatten(1).sort(dim=1).values
            allowed = ~barred.gather(1, items)
            allowed[:, 1:] &= items[:, 1:] != items[:, :-1]
            right = truth.gather(1, items) * allowed
            right /= right.sum(dim=1, keepdim=True)
            kept = right.isfinite().all(dim=1)
            scores = said.gather(2, items.expand(len(said), -1, -1)).transpose(0, 1)
            found.append(tuple(one[kept] for one in (torch.from_numpy(rows), scores, allowed, right, model.knots(query))))
        users, scores, allowed, right, knots = (torch.cat(column) for column in zip(*found, strict=True))
        return cls(users.numpy(), scores.transpose(0, 1).contiguous(), allowed, right, knots)

    def weights(self, l2: float, mask: np.ndarray | None = None) -> Tensor:
        """The weights that minimise the loss over all users, or those of a mask: float32 (knots, parts), 0 or more; equal ones without users."""
        rows = torch.from_numpy(np.flatnonzero(np.ones(len(self.users), bool) if mask is None else mask))
        shape = (self.knots.shape[1], len(self.scores))
        if not len(rows):
            return torch.ones(shape)
        found = minimize(
            lambda flat: self.loss(flat.reshape(shape), rows, l2),
            np.full(shape, 1 / shape[1]).ravel(),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, None)] * (shape[0] * shape[1]),
            options={"ftol": 1e-9, "gtol": 1e-6},
        )
        return torch.from_numpy(found.x.reshape(shape).astype(np.float32))

    def loss(self, weights: np.ndarray, rows: Tensor, l2: float) -> tuple[float, np.ndarray]:
        """What is minimised, over some rows, at weights (knots, parts); and its gradient, flat."""
        share, steps = l2 / len(rows), np.diff(weights, axis=0)
        loss = share * 0.5 * ((weights**2).sum() / len(weights) + _SMOOTH * (steps**2).sum())
        gradient = share * weights / len(weights)
        gradient[1:] += share * _SMOOTH * steps
        gradient[:-1] -= share * _SMOOTH * steps
        given = torch.from_numpy(weights).float()
        for some in rows.split(8 * _BATCH):
            said, knots, right = self.scores[:, some], self.knots[some], self.right[some]
            total = torch.einsum("pnc,np->nc", said, knots @ given).masked_fill(~self.allowed[some], -torch.inf)
            likely = total.log_softmax(dim=1)
            loss -= float(torch.where(right > 0, likely * right, 0.0).double().sum()) / len(rows)
            by_weight = torch.einsum("pnc,nc->np", said, likely.exp() - right)
            gradient += (knots.T @ by_weight).double().numpy() / len(rows)
        return float(loss), gradient.ravel()


def _cells(rows: Histories, num_items: int) -> Tensor:
    """Which items are in each row: float32 (rows, num_items), 0 or 1."""
    return torch.from_numpy(Query.of(np.zeros(len(rows)), rows).matrix(num_items).toarray())
