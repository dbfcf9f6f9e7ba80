r"""Losses: plain functions of scores.

With positive scores s⁺ (batch,), negative scores s⁻ (batch, n) and log q⁻ (batch, n), the log of each negative's expected count in the sample:

| name            | formula, mean over the batch                                     | source                                  |
|-----------------|------------------------------------------------------------------|-----------------------------------------|
| `bce`           | -log σ(s⁺) - Σ_j log(1 - σ(s⁻_j)) / n                            | Kang & McAuley 2018, eq. 6              |
| `gbce`          | -β log σ(s⁺) - Σ_j log(1 - σ(s⁻_j)), β from t and sampling rate  | Petrov & Macdonald 2023, eq. 12         |
| `bpr`           | -Σ_j log σ(s⁺ - s⁻_j) / n                                        | Rendle et al. 2009                      |
| `bpr_max`       | -log Σ_j p_j σ(s⁺ - s⁻_j) + λ Σ_j p_j (s⁻_j)², p = softmax(s⁻)   | Hidasi & Karatzoglou 2018, eq. 13, 14   |
| `top1_max`      | Σ_j p_j (σ(s⁻_j - s⁺) + σ((s⁻_j)²)), p = softmax(s⁻)             | Hidasi & Karatzoglou 2018, eq. 9        |
| `softmax`       | log(e^{s⁺} + Σ_j e^{s⁻_j - log q_j}) - s⁺                        | Bengio & Senécal 2008; Yi et al. 2019   |
| `ccl`           | (1 - s⁺) + w Σ_j max(0, s⁻_j - m) / n, of cosines                | Mao et al. 2021, SimpleX, eq. 1         |
| `squared_error` | (s - value)²                                                     | Koren et al. 2009                       |

`cross_entropy` is `softmax` with the whole catalogue as the sample (log q = 0); `train.softmax.full_softmax` computes it without a
(batch, items) matrix. `directau` (Wang et al. 2022, eq. 4 to 6) looks at vectors instead of scores and has no negatives: `alignment_uniformity`. A negative that happens to be the positive carries score -inf and drops out of every formula.
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


def bpr_max(positive: Tensor, negative: Tensor, log_q: Tensor, *, penalty: float = 1.0) -> Tensor:
    """BPR-max: the positive should beat a soft maximum of its negatives, which are kept near zero by `penalty` (λ)."""
    share, negative = _soft(negative)
    beaten = (share * torch.sigmoid(positive.unsqueeze(-1) - negative)).sum(-1)
    return -(beaten + 1e-24).log() + penalty * (share * negative.square()).sum(-1)


def top1_max(positive: Tensor, negative: Tensor, log_q: Tensor) -> Tensor:
    """TOP1-max: as BPR-max, with the bounded loss of GRU4Rec."""
    share, negative = _soft(negative)
    return (share * (torch.sigmoid(negative - positive.unsqueeze(-1)) + torch.sigmoid(negative.square()))).sum(-1)


def ccl(positive: Tensor, negative: Tensor, log_q: Tensor, *, margin: float = 0.8, weight: float = 150.0) -> Tensor:
    """Cosine contrastive loss: positives towards 1, negatives below the margin; scores are cosines."""
    return (1 - positive) + weight * _mean(F.relu(negative - margin), negative)


def alignment_uniformity(users: Tensor, items: Tensor, *, gamma: float = 1.0) -> Tensor:
    """DirectAU: users near their items, and each of both spread over the sphere; vectors (batch, dim) → (batch,).

    Rows sum to the paper's loss times the batch: the alignment of each pair, plus `gamma` times half the uniformity of users and of items.
    """
    users, items = F.normalize(users, dim=-1), F.normalize(items, dim=-1)
    spread = (_uniformity(users) + _uniformity(items)) / 2
    return (users - items).square().sum(-1) + gamma * spread


def softmax(positive: Tensor, negative: Tensor, log_q: Tensor) -> Tensor:
    """Sampled softmax with logQ correction: an estimate of the cross-entropy over the catalogue."""
    return torch.logaddexp(positive, (negative - log_q).logsumexp(-1)) - positive


def squared_error(predicted: Tensor, value: Tensor) -> Tensor:
    """Squared error of each row."""
    return (predicted - value).square()


def _soft(negative: Tensor) -> tuple[Tensor, Tensor]:
    """The softmax over a row's negatives, and the negatives; both 0 where the negative is at -inf."""
    share = negative.softmax(-1)
    return torch.where(negative.isfinite(), share, 0.0), negative.masked_fill(~negative.isfinite(), 0.0)


def _uniformity(vectors: Tensor) -> Tensor:
    """Log of the mean of exp(-2 ‖x - y‖²) over pairs of different rows of unit vectors."""
    count = len(vectors)
    if count < 2:
        return vectors.sum() * 0.0
    cells = (4 * (vectors @ vectors.T - 1)).exp()
    return ((cells.sum() - cells.diagonal().sum()) / (count * (count - 1))).log()


def _mean(terms: Tensor, negative: Tensor) -> Tensor:
    """Mean over the negatives that count (those not at -inf)."""
    return terms.sum(-1) / negative.isfinite().sum(-1).clamp_min(1)


SAMPLED: dict[str, Callable[..., Tensor]] = {one.__name__: one for one in (bce, gbce, bpr, bpr_max, top1_max, softmax, ccl)}
"""Losses that compare a positive with sampled negatives."""

NAMES = (*SAMPLED, "cross_entropy", "directau", "squared_error")
"""Every `[train] loss`."""
