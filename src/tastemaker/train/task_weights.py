"""How the losses of several labels are weighed against each other, where that is learned.

| name          | loss                                 | weights                                                                    |
|---------------|--------------------------------------|----------------------------------------------------------------------------|
| `fixed`       | Σ_k c_k L_k                          | c given, 1 by default                                                      |
| `uncertainty` | Σ_k c_k (exp(-s_k) L_k + s_k / 2)    | s learned with everything else: where it is settled, exp(-s_k) = 1 / 2 L_k |
| `gradnorm`    | Σ_k w_k L_k                          | w_k ∝ r_k^α / |∂L_k/∂V|, Σ w = the number of labels                        |

Learned weights are no part of a ranker; they are in the training loop's checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Weighting = Literal["fixed", "uncertainty", "gradnorm"]


class Uncertainty(nn.Module):
    """Learned log variances (Kendall, Gal & Cipolla 2018, "Multi-task learning using uncertainty to weigh losses", eq. 10).

    A label's loss L is taken for an error of variance exp(s): exp(-s) L + s / 2. The parameter is s / 10, so that Adam, whose steps are of one size, moves
    s ten times as fast as the ranker's weights: losses a hundred times apart are balanced after hundreds of steps, not thousands.
    """

    _FASTER = 10.0

    def __init__(self, counts: Sequence[float]) -> None:
        """`counts`: what each label's loss counts, beside what is learned."""
        super().__init__()
        self.counts = tuple(counts)
        self.tenths = nn.Parameter(torch.zeros(len(self.counts)))

    def forward(self, losses: Sequence[Tensor | None]) -> Tensor:
        """The loss of a step, of each label's loss; None: the batch knows nothing of the label."""
        log_variances = self._FASTER * self.tenths
        parts = zip(self.counts, losses, log_variances.unbind(), strict=True)
        known = [count * ((-s).exp() * loss + 0.5 * s) for count, loss, s in parts if loss is not None]
        return torch.stack(known).sum()

    @torch.no_grad()
    def weights(self) -> Tensor:
        """What each label's loss is multiplied by: float32 (labels,)."""
        return torch.tensor(self.counts, device=self.tenths.device) * (-self._FASTER * self.tenths).exp()


class GradNorm(nn.Module):
    """Labels pull alike at what they share, those that lag behind more (after Chen et al. 2018, "GradNorm: gradient normalization for adaptive loss balancing").

    Weights are such that w_k |∂L_k/∂V| ∝ r_k^α, with V the tables of field vectors, which all labels share, and r_k the share of its first loss that
    label k still has, over the mean of those shares. Deviations, for their cost: V where the paper takes the last shared layer; the weights that the
    paper approaches by gradient steps are computed, and approached by a tenth (in logarithms) every tenth step; between, they stay.
    """

    every = 10
    pace = 0.1
    weight: Tensor
    first: Tensor
    steps: Tensor

    def __init__(self, labels: int, tables: Sequence[Tensor], alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.tables = tuple(tables)
        self.register_buffer("weight", torch.ones(labels))
        self.register_buffer("first", torch.zeros(labels))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, losses: Sequence[Tensor | None]) -> Tensor:
        """The loss of a step; a batch that knows nothing of a label leaves the weights as they are."""
        known = [loss for loss in losses if loss is not None]
        if len(known) == len(losses):
            if int(self.steps) % self.every == 0:
                self._move(known)
            self.steps += 1
        parts = zip(self.weight.unbind(), losses, strict=True)
        return torch.stack([weight * loss for weight, loss in parts if loss is not None]).sum()

    def _move(self, losses: Sequence[Tensor]) -> None:
        now = torch.stack([loss.detach() for loss in losses])
        if int(self.steps) == 0:
            self.first.copy_(now)
        left = now / self.first.clamp_min(1e-12)
        lag = (left / left.mean()).clamp_min(1e-6).pow(self.alpha)
        pull = torch.stack([self._pull(loss) for loss in losses])
        wanted = lag / pull.clamp_min(1e-12)
        moved = torch.lerp(self.weight.log(), (wanted * len(losses) / wanted.sum()).log(), self.pace).exp()
        self.weight = moved * len(losses) / moved.sum()

    def _pull(self, loss: Tensor) -> Tensor:
        squares = loss.new_zeros(())
        for slope in torch.autograd.grad(loss, self.tables, retain_graph=True, allow_unused=True):
            if slope is not None:
                squares += (slope.coalesce().values() if slope.is_sparse else slope).square().sum()
        return squares.sqrt()

    def weights(self) -> Tensor:
        """What each label's loss is multiplied by: float32 (labels,)."""
        return self.weight


class Weighed(nn.Module):
    """A ranker with what is learned beside it, such as weights: what a checkpoint holds."""

    def __init__(self, ranker: nn.Module, *beside: nn.Module) -> None:
        super().__init__()
        self.ranker, self.beside = ranker, nn.ModuleList(beside)
