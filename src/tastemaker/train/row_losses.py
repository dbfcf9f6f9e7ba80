r"""Losses of labelled rows: plain functions of logits that give the mean.

With logits s (rows,), labels y (rows,), weights w (rows,), all 1 unless given, and z = s where y = 1 and -s where y = 0:

| name          | formula                                                            | mean over                  | source                              |
|---------------|--------------------------------------------------------------------|----------------------------|-------------------------------------|
| `bce`         | -y log σ(s) - (1 - y) log(1 - σ(s))                                | rows, by w                 | Good 1952                           |
| `focal`       | -α_y (1 - σ(z))^γ log σ(z)                                         | rows, by w                 | Lin et al. 2017, eq. 5              |
| `classes`     | log Σ_c e^{s_c} - s_y, logits (rows, C)                            | rows, by w                 | Bridle 1990                         |
| `pairwise`    | log(1 + e^{s_j - s_i}) where y_i > y_j in one group                | such pairs, by w_i w_j     | Burges et al. 2005, RankNet         |
| `listwise`    | log Σ_j e^{s_j} - Σ_j t_j s_j, t the labels as shares of the group | such groups, by Σ_j w_j t_j | Cao et al. 2007, ListNet            |
| `lambda_rank` | `pairwise` times the change of NDCG if i and j changed places      | groups with unequal labels | Burges et al. 2006; Burges 2010     |

The first three ask for the right probability of each row, whose sigmoid or softmax can be read as one. The last three ask for the
right order within each group, such as the rows of a user or of a list shown; they do not change when all logits of a group move by
the same amount, so they need calibration before they are read as probabilities (`nn.calibration`). `groups` are int (rows,), any
numbers; rows of a group need not be adjacent. What has nothing to say - no rows, no weight, no group with unequal labels - costs 0.

Where positives are seen with a probability θ only (`data.propensity`), the last three weigh them by 1 / θ, so that a seen one stands for those that were not (Joachims
et al. 2017, eq. 5, there for the sum of ranks), and, but for `lambda_rank`, divide by the sum of weights (self-normalised: Swaminathan & Joachims 2015). `bce`
then has labels y / θ, which may be above 1: its mean is that of rows whose every wish is known (Saito et al. 2020, "Unbiased recommender learning from
missing-not-at-random implicit feedback", eq. 9). It has no lower bound for a row that is told by heart, which clipped propensities, many rows alike and early stopping
keep it from; losses of groups have one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def bce(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy; labels in 0…1, a share where a row stands for many, or above 1 where it stands for some that were not seen."""
    return _mean(F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none"), weights)


def focal(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, *, gamma: float = 2.0, alpha: float | None = None
) -> Tensor:
    """Binary cross-entropy that heeds rows less the better they are told already; labels 0 or 1.

    `gamma` is how much less, 0 is `bce`; `alpha` weighs positives, 1 - `alpha` negatives, None both by 1. Probabilities come out too
    near .5, since sure rows stop pushing. The mean is over all rows, where the paper divides by the number of positives.
    """
    labels = labels.to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    each = each * torch.exp(-gamma * F.softplus(logits * (2 * labels - 1)))  # (1 - σ(z))^γ, with a gradient where it is 0 too
    if alpha is not None:
        each = each * (alpha * labels + (1 - alpha) * (1 - labels))
    return _mean(each, weights)


def classes(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of one class of several, such as stars; logits (rows, C), labels int (rows,) in 0…C - 1."""
    return _mean(F.cross_entropy(logits, labels.long(), reduction="none"), weights)


def pairwise(logits: Tensor, labels: Tensor, groups: Tensor, weights: Tensor | None = None) -> Tensor:
    """RankNet: within a group a row of higher label should have the higher logit. Labels are of any order.

    Every pair counts the same, so a group weighs as many as it has pairs. Memory grows with the number of pairs.
    """
    better, worse = _pairs(labels, groups)
    pair_weights = None if weights is None else weights[better] * weights[worse]
    return _mean(F.softplus(logits[worse] - logits[better]), pair_weights)


def listwise(
    logits: Tensor,
    labels: Tensor,
    groups: Tensor,
    weights: Tensor | None = None,
    *,
    target: Literal["share", "softmax"] = "share",
) -> Tensor:
    """ListNet's top-one loss: the softmax of a group's logits should be that of its labels.

    Args:
        logits: (rows,).
        labels: (rows,), for "share" not negative.
        groups: int (rows,).
        weights: (rows,): what each row's share of the labels counts.
        target: "share": a label over the sum of its group's, so that rows of label 0 are wanted nowhere, the softmax cross-entropy
            in use for clicks (Bruch et al. 2019); "softmax": e^label over the sum of its group's, as in the paper, for grades.
    """
    place, count = _places(groups)
    labels = labels.to(logits.dtype)
    unequal = _extreme(labels, place, count, "amax") > _extreme(labels, place, count, "amin")
    if target == "softmax":
        wanted = _log_softmax(labels, place, count).exp()
    else:
        wanted = labels / _sums(labels, place, count).clamp_min(torch.finfo(labels.dtype).tiny)[place]
    if weights is not None:
        wanted = wanted * weights
    each = -_sums(wanted * _log_softmax(logits, place, count), place, count)
    if weights is None:
        return _mean(each[unequal], None)
    each, counts = each[unequal], _sums(wanted, place, count)[unequal]
    return each.sum() / counts.sum().clamp_min(torch.finfo(each.dtype).tiny)


def lambda_rank(logits: Tensor, labels: Tensor, groups: Tensor, weights: Tensor | None = None) -> Tensor:
    """RankNet's pairs, each weighed by how much NDCG of the group would change if both rows changed places.

    Gains are 2^label - 1, discounts 1 / log2(place + 1), places those of the current logits over the whole group, equal ones in the
    order of rows; they carry no gradient. The weights change with the order, so the loss can rise when the order betters: judge by
    the metric. A pair counts the product of its `weights` (rows,) more. Source: Burges, Ragno & Le 2006; the loss behind the gradients is that of Burges 2010, §4.
    """
    better, worse = _pairs(labels, groups)
    place, count = _places(groups)
    gains = torch.exp2(labels.to(logits.dtype)) - 1
    discounts = _discounts(logits.detach(), place, count)
    ideal = _sums(gains * _discounts(labels, place, count), place, count)
    change = (gains[better] - gains[worse]) * (discounts[better] - discounts[worse]).abs() / ideal[place[better]]
    if weights is not None:
        change = change * weights[better] * weights[worse]
    total = (F.softplus(logits[worse] - logits[better]) * change).sum()
    return total / torch.bincount(place[better], minlength=count).count_nonzero().clamp_min(1)


def _mean(each: Tensor, weights: Tensor | None) -> Tensor:
    """The mean, by weight; 0 with a gradient of 0 where nothing counts."""
    if weights is None:
        return each.sum() / max(1, len(each))
    weights = weights.to(each.dtype)
    return (each * weights).sum() / weights.sum().clamp_min(torch.finfo(each.dtype).tiny)


def _places(groups: Tensor) -> tuple[Tensor, int]:
    """Groups as int64 (rows,) in 0…count - 1, and their count."""
    distinct, place = torch.unique(groups, return_inverse=True)
    return place, len(distinct)


def _sums(values: Tensor, place: Tensor, count: int) -> Tensor:
    return values.new_zeros(count).index_add(0, place, values)


def _extreme(values: Tensor, place: Tensor, count: int, which: str) -> Tensor:
    return values.new_zeros(count).scatter_reduce(0, place, values, which, include_self=False)


def _log_softmax(values: Tensor, place: Tensor, count: int) -> Tensor:
    """Log of the softmax within each group: (rows,)."""
    shifted = values - _extreme(values.detach(), place, count, "amax")[place]
    return shifted - _sums(shifted.exp(), place, count).log()[place]


def _sorted(values: Tensor, place: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows by group and falling value, equal ones in their order: the rows, and the start and end of each group among them."""
    order = torch.argsort(values, descending=True, stable=True)
    order = order[torch.argsort(place[order], stable=True)]
    ends = torch.bincount(place, minlength=count).cumsum(0)
    return order, torch.cat([ends.new_zeros(1), ends[:-1]]), ends


def _discounts(values: Tensor, place: Tensor, count: int) -> Tensor:
    """1 / log2(place + 1) of each row in its group ranked by value: (rows,), float32 or what the values are."""
    order, starts, _ = _sorted(values, place, count)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order), device=order.device) - starts[place[order]]
    return 1 / torch.log2(ranks.to(values.dtype if values.is_floating_point() else torch.float32) + 2)


def _pairs(labels: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Every pair of rows of one group whose labels differ: the rows of the higher labels and those of the lower, int64 (pairs,).

    With rows sorted by group and falling label, a row's partners are those from the end of its block of equal label to the end of
    its group, so pairs are counted off without a matrix of rows by rows.
    """
    place, count = _places(groups)
    order, _, ends = _sorted(labels, place, count)
    owner, risen = place[order], labels[order]
    step = torch.ones(len(order), dtype=torch.bool, device=order.device)
    step[1:] = (owner[1:] != owner[:-1]) | (risen[1:] != risen[:-1])
    block = step.cumsum(0) - 1
    after = torch.bincount(block).cumsum(0)[block]  # the first row past the block
    partners = ends[owner] - after
    better = torch.repeat_interleave(partners)
    first = after - (partners.cumsum(0) - partners)
    worse = torch.arange(len(better), device=order.device) + first[better]
    return order[better], order[worse]


BY_NAME: dict[str, Callable[..., Tensor]] = {
    one.__name__: one for one in (bce, focal, classes, pairwise, listwise, lambda_rank)
}
"""Every loss by name."""

GROUPED = ("pairwise", "listwise", "lambda_rank")
"""Those that compare the rows of a group."""

NAMES = tuple(BY_NAME)
"""Every name, in the order of the table."""
