"""From logits to probabilities that mean what they say: two maps fitted on rows that the model was not trained on.

| class      | probability                                     | fit                                    | choose it where                      |
|------------|-------------------------------------------------|----------------------------------------|--------------------------------------|
| `Platt`    | σ(a · logit + b), a > 0                         | two numbers: hundreds of rows will do  | logits are too sharp, flat or shifted |
| `Isotonic` | linear between knots, constant beyond them      | as many as the rows ask for            | the curve has another shape, with thousands of rows |

Both never fall where the logit rises, so lists keep their order; an `Isotonic` map is flat in places, where rows that differed tie.
Until `solve` has been called, or a state loaded, both are the sigmoid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor, nn

from tastemaker.errors import DataError
from tastemaker.nn.sparse import SizedByData

LEAST_SLOPE = 1e-3
"""Of `Platt`, for logits of size 1: where held-out labels fall as logits rise, the order is kept, with hardly a difference left."""
_STEPS = 100
_ENOUGH = 1e-14


class Platt(nn.Module):
    """σ(slope · logit + intercept), Platt 1999; with `intercept=False` temperature scaling, Guo et al. 2017, slope = 1 / temperature.

    The goals are Platt's, not 0 and 1 but 1 / (negatives + 2) and (positives + 1) / (positives + 2), so that there is a fit for rows
    that the logits part without fault, and for rows of one label. Newton's method with halved steps, Lin, Lin & Weng 2007, in float64.
    """

    slope: Tensor
    """float32 (), above 0"""
    intercept: Tensor
    """float32 ()"""

    def __init__(self, *, intercept: bool = True) -> None:
        super().__init__()
        self.shifts = intercept
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("intercept", torch.zeros(()))

    def solve(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> None:
        """Fits both numbers to held-out rows.

        Args:
            logits: (rows,).
            labels: 0 or 1 (rows,).
            weights: (rows,); a row of weight 2 counts as that row twice.

        Raises:
            DataError: no rows, shapes differ, or a value is not as said.
        """
        x, y, w = _rows(logits, labels, weights)
        low, high = _goals(y, w)
        goal = np.where(y == 1, high, low)
        # in units of their spread, so that the fit is the same whatever the scale of the logits
        middle = float(np.average(x, weights=w)) if self.shifts else 0.0
        unit = float(np.sqrt(np.average(np.square(x - middle), weights=w))) or 1.0
        x = (x - middle) / unit
        found = _newton(np.stack([x, np.ones_like(x)][: 1 + self.shifts], axis=1), goal, w)
        if found[0] < LEAST_SLOPE:  # the cost is convex, so that the best slope allowed is the least
            found[0] = LEAST_SLOPE
            if self.shifts:
                found[1:] = _newton(np.ones((len(x), 1)), goal, w, LEAST_SLOPE * x)
        slope = found[0] / unit
        self.slope.fill_(slope)
        self.intercept.fill_(found[1] - slope * middle if self.shifts else 0.0)

    def forward(self, logits: Tensor) -> Tensor:
        """Probabilities, of the shape and type of the logits."""
        return torch.sigmoid(self.slope.to(logits.dtype) * logits + self.intercept.to(logits.dtype))


class Isotonic(SizedByData):
    """The rising step function nearest to the labels (Zadrozny & Elkan 2002), by pooling adjacent violators, with its steps joined.

    Knots are the first and last logit of each step; between steps the map is linear. Heights are kept within Platt's goals (see
    `Platt`), so that no probability is 0 or 1 and no later row costs without bound.
    """

    knots: Tensor
    """float32 (knots,), strictly rising logits"""
    heights: Tensor
    """float32 (knots,), probabilities that never fall"""

    def __init__(self) -> None:
        super().__init__()
        self.register_data_buffer("knots")
        self.register_data_buffer("heights")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        errors = args[-1]
        if self.knots.shape != self.heights.shape:
            errors.append(f"{prefix}heights are {len(self.heights)} for {len(self.knots)} knots")
        elif not (bool((self.knots.diff() > 0).all()) and bool((self.heights.diff() >= 0).all())):
            errors.append(f"{prefix}knots and heights do not rise")

    def solve(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> None:
        """Fits the map to held-out rows.

        Args:
            logits: (rows,); told apart in float32.
            labels: 0 or 1 (rows,).
            weights: (rows,); a row of weight 2 counts as that row twice.

        Raises:
            DataError: no rows, shapes differ, or a value is not as said.
        """
        x, y, w = _rows(logits, labels, weights)
        x, y, w = x[w > 0].astype(np.float32), y[w > 0], w[w > 0]
        order = np.argsort(x, kind="stable")
        risen = x[order]
        starts = np.flatnonzero(np.concatenate([[True], risen[1:] != risen[:-1]]))
        mass, hits = np.add.reduceat(w[order], starts), np.add.reduceat((w * y)[order], starts)
        found = isotonic_regression(hits / mass, weights=mass)
        ends = np.unique(np.concatenate([found.blocks[:-1], found.blocks[1:] - 1]))
        heights = np.clip(found.x[ends], *_goals(y, w))
        device = self.knots.device
        self.knots = torch.from_numpy(risen[starts][ends]).to(device)
        self.heights = torch.from_numpy(heights.astype(np.float32)).to(device)

    def forward(self, logits: Tensor) -> Tensor:
        """Probabilities, of the shape and type of the logits."""
        if not len(self.knots):
            return torch.sigmoid(logits)
        fine = torch.promote_types(logits.dtype, torch.float32)  # knots would fall together in fewer bits
        x, knots, heights = (values.to(fine) for values in (logits, self.knots, self.heights))
        right = torch.searchsorted(knots, x.contiguous()).clamp(min(1, len(knots) - 1), len(knots) - 1)
        left = (right - 1).clamp_min(0)
        part = (x - knots[left]) / (knots[right] - knots[left]).clamp_min(torch.finfo(fine).tiny)
        between = heights[left] + part.clamp(0, 1) * (heights[right] - heights[left])
        # rounding must not lift the end of a stretch above the start of the next
        return torch.minimum(between, heights[right]).to(logits.dtype)


def _rows(logits: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checked logits, labels and weights, float64 (rows,)."""
    given = [values.detach().cpu().double().numpy() for values in (logits, labels, *([] if weights is None else [weights]))]
    x, y, w = given if weights is not None else (*given, np.ones(given[0].shape))
    if x.ndim != 1 or not x.shape == y.shape == w.shape:
        raise DataError(f"logits {x.shape}, labels {y.shape}, weights {w.shape}", expected="one of each for each row")
    if not np.isfinite(x).all():
        row = int((~np.isfinite(x)).argmax())
        raise DataError(f"logit {x[row]} in row {row}", expected="finite logits", hint="has the model diverged?")
    if not np.isin(y, (0, 1)).all():
        row = int((~np.isin(y, (0, 1))).argmax())
        raise DataError(f"label {y[row]:g} in row {row}", expected="labels of 0 or 1")
    if not (np.isfinite(w).all() and (w >= 0).all() and w.any()):
        raise DataError(
            f"{len(w)} rows that weigh {w.sum():g}", expected="held-out rows of finite weight ≥ 0", hint="keep some rows back"
        )
    return x, y, w


def _goals(labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Platt's goals of a negative and a positive row."""
    positives, negatives = float(weights[labels == 1].sum()), float(weights[labels == 0].sum())
    return 1 / (negatives + 2), (positives + 1) / (positives + 2)


def _newton(features: np.ndarray, goal: np.ndarray, weights: np.ndarray, base: np.ndarray | float = 0.0) -> np.ndarray:
    """The coefficients b, (n,), with the least cross-entropy of σ(base + features · b) from the goals; from 0 on."""

    def cost(at: np.ndarray) -> float:
        scores = base + features @ at
        return float((weights * (np.logaddexp(0, scores) - goal * scores)).sum())

    now = np.zeros(features.shape[1])
    value = cost(now)
    for _ in range(_STEPS):
        p = 0.5 * (1 + np.tanh((base + features @ now) / 2))
        gradient = features.T @ (weights * (p - goal))
        curvature = (features * (weights * p * (1 - p))[:, None]).T @ features
        step = np.linalg.lstsq(curvature, gradient)[0]  # logits that are all alike leave a direction without curvature
        gain, size = float(gradient @ step), 1.0
        if gain <= _ENOUGH * weights.sum():
            break
        while (reached := cost(now - size * step)) > value - 1e-4 * size * gain and size > _ENOUGH:
            size /= 2
        if reached >= value:  # as good as the numbers can tell
            break
        now, value = now - size * step, reached
    return now
