r"""Losses: plain functions of scores.

With positive scores s⁺ (batch,), negative scores s⁻ (batch, n) and log q⁻ (batch, n), the log of each negative's expected count in the sample:

| name            | formula, mean over the batch                                     | source                                  |
|-----------------|------------------------------------------------------------------|-----------------------------------------|
| `bce`           | -log σ(s⁺) - Σ_j log(1 - σ(s⁻_j)) / n                            | Kang & McAuley 2018, eq. 6              |
| `gbce`          | -β log σ(s⁺) - Σ_j log(1 - σ(s⁻_j)), β from t and sampling rate  | Petrov & Macdonald 2023, eq. 12         |
| `bpr`           | -Σ_j log σ(s⁺ - s⁻_j) / n                                        | Rendle et al. 2009                      |
| `softmax`       | log(e^{s⁺} + Σ_j e^{s⁻_j - log q_j}) - s⁺                        | Bengio & Senécal 2008; Yi et al. 2019   |
| `squared_error` | (s - value)²                                                     | Koren et al. 2009                       |

`cross_entropy` is `softmax` with the whole catalogue as the sample (log q = 0); `train.softmax.full_softmax` computes it without a
(batch, items) matrix. A negative that happens to be the positive carries score -inf and drops out of every formula.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(positive (batch,), negative (batch, n), log_q (batch, n)) -> loss of each row (batch,)."""


def bce(positive: Tensor, negative: Tensor, log_q: Tensor) -> Tensor:
    """Binary cross-entropy: the positive against the mean of its negatives."""
    return F.softplus(-positive) + _mean(F.softplus(negative), negative)


def gbce(positive: Tensor, negative: Tensor, log_q: Tensor, *, num_items: int, t: float = 0.75) -> Tensor:
    """Generalised binary cross-entropy: the positive's probability is raised to β, so that few negatives do not make scores overconfident.

    β = α (t (1 - 1/α) + 1/α), α = n / (num_items - 1) the sampling rate; t = 0 is plain BCE summed over negatives, 1 fully calibrated.
    """
    rate = min(1.0, negative.shape[-1] / max(1, num_items - 1))
    beta = rate * (t * (1 - 1 / rate) + 1 / rate)
    return beta * F.softplus(-positive) + F.softplus(negative).sum(-1)


def bpr(positive: Tensor, negative: Tensor, log_q: Tensor) -> Tensor:
    """Bayesian personalised ranking: the positive should beat each negative."""
    return _mean(F.softplus(negative - positive.unsqueeze(-1)), negative)


def softmax(positive: Tensor, negative: Tensor, log_q: Tensor) -> Tensor:
    """Sampled softmax with logQ correction: an estimate of the cross-entropy over the catalogue."""
    return torch.logaddexp(positive, (negative - log_q).logsumexp(-1)) - positive


def squared_error(predicted: Tensor, value: Tensor) -> Tensor:
    """Squared error of each row."""
    return (predicted - value).square()


def _mean(terms: Tensor, negative: Tensor) -> Tensor:
    """Mean over the negatives that count (those not at -inf)."""
    return terms.sum(-1) / negative.isfinite().sum(-1).clamp_min(1)


SAMPLED: dict[str, Callable[..., Tensor]] = {"bce": bce, "gbce": gbce, "bpr": bpr, "softmax": softmax}
"""Losses that compare a positive with sampled negatives."""

NAMES = (*SAMPLED, "cross_entropy", "squared_error")
"""Every `[train] loss`."""
