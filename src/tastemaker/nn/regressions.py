"""Bayesian linear regressions: many small ones at once, one for each user or item, and a sparse one too large to factorise.

A regression has rows x with goals y = w·x + noise; noise and the prior of w are normal, so w given the rest is normal too. What is
asked for is the mean of that distribution or a draw from it.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

RATE = 0.01
"""Of the Gamma(1, rate) prior of every precision: weak where values are of size 1, whether they are few or their variance small."""
_BLOCK = 1 << 22  # float32 numbers of a block


class Groups:
    """Rows that belong to groups, each pointing at one of the regressors; laid out in blocks of groups of like size.

    A block is a rectangle that is padded by at most an eighth (small groups: by 4), with regressors of zero.
    """

    def __init__(self, owner: np.ndarray, other: np.ndarray, num_groups: int, num_others: int, dim: int) -> None:
        """Lays out rows.

        Args:
            owner: int (rows,), the group of each row, in any order.
            other: int (rows,), the regressor of each row.
            num_groups: how many groups there are; some may have no rows.
            num_others: how many regressors there are.
            dim: length of a regressor.
        """
        self.num_groups = num_groups
        order = np.argsort(owner, kind="stable")
        lengths = np.bincount(owner, minlength=num_groups)
        starts = np.cumsum(lengths) - lengths
        by_size = np.argsort(lengths, kind="stable")[(lengths == 0).sum() :]
        sizes = lengths[by_size]
        self._blocks: list[tuple[Tensor, Tensor, Tensor]] = []
        first = 0
        while first < len(by_size):
            alike = int(np.searchsorted(sizes, sizes[first] + max(4, sizes[first] // 8), side="right"))
            end = min(alike, first + max(1, _BLOCK // (dim * (2 * dim + int(sizes[first])))))
            groups, step = by_size[first:end], np.arange(sizes[end - 1])
            real = step < lengths[groups, None]
            rows = order[np.where(real, starts[groups, None] + step, 0)]
            parts = (groups, rows, np.where(real, other[rows], num_others))
            self._blocks.append(tuple(torch.from_numpy(part.astype(np.int64)) for part in parts))  # type: ignore[arg-type]
            first = end

    def solve(
        self,
        regressors: Tensor,
        goal: Tensor,
        prior_mean: Tensor,
        prior_precision: Tensor,
        noise_precision: float,
        draw: np.random.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The mean of each group's coefficients and, with a generator, a draw of them; groups without rows have the prior's.

        Args:
            regressors: float32 (others, dim).
            goal: float32 (rows,).
            prior_mean: float32 (groups, dim).
            prior_precision: float32 (dim, dim), positive definite.
            noise_precision: of each goal.
            draw: random numbers; None: the draw is the mean.

        Returns:
            Two float32 (groups, dim).
        """
        padded = torch.cat([regressors, regressors.new_zeros(1, regressors.shape[1])])
        mean, found = prior_mean.clone(), prior_mean
        if draw is not None:
            noise = torch.from_numpy(draw.standard_normal(prior_mean.shape, dtype=np.float32))
            root = torch.linalg.cholesky(prior_precision)
            found = prior_mean + torch.linalg.solve_triangular(root.T, noise.T, upper=True).T
        for groups, rows, others in self._blocks:
            known = padded[others]
            precision = torch.baddbmm(prior_precision, known.mT, known, alpha=noise_precision)
            right = noise_precision * (goal[rows].unsqueeze(1) @ known).squeeze(1) + prior_mean[groups] @ prior_precision
            root = torch.linalg.cholesky(precision)
            best = torch.cholesky_solve(right.unsqueeze(2), root).squeeze(2)
            mean[groups] = best
            if draw is not None:
                found[groups] = best + torch.linalg.solve_triangular(root.mT, noise[groups].unsqueeze(2), upper=True).squeeze(2)
        return mean, found if draw is not None else mean


class SparseRegression:
    """Regressions of the columns of a (rows, columns) matrix on the same sparse features, (rows, features)."""

    def __init__(self, features: sp.csr_matrix) -> None:
        self.features = features
        self._transposed = features.T.tocsr()
        self._squares = np.asarray(features.multiply(features).sum(axis=0), dtype=np.float32).reshape(-1, 1)

    def draw(
        self, goal: np.ndarray, noise_precision: np.ndarray, prior_precision: np.ndarray, generator: np.random.Generator
    ) -> np.ndarray:
        """A draw of the coefficients, whose prior mean is 0: float32 (features, columns).

        With Λ the noise and λ the prior precision of a column and F the features, the draw solves
        (Λ FᵀF + λ) b = Λ Fᵀ(goal + e₁ / √Λ) + √λ e₂ for standard normal e₁, e₂, which has the right mean and covariance (Papandreou &
        Yuille 2010, "Gaussian sampling by local perturbations"; Simm et al. 2017, Macau). Conjugate gradients solve it, so that FᵀF is
        never formed.

        Args:
            goal: float32 (rows, columns).
            noise_precision: float32 (columns,).
            prior_precision: float32 (columns,).
            generator: random numbers.
        """
        noise = generator.standard_normal(goal.shape, dtype=np.float32)
        right = self._transposed @ (noise_precision * goal + np.sqrt(noise_precision) * noise)
        right += np.sqrt(prior_precision) * generator.standard_normal(right.shape, dtype=np.float32)
        return self._solve(right, noise_precision, prior_precision)

    def _solve(
        self, right: np.ndarray, scale: np.ndarray, shift: np.ndarray, *, tolerance: float = 1e-3, limit: int = 200
    ) -> np.ndarray:
        """(scale FᵀF + shift)⁻¹ right for each column, by conjugate gradients with the diagonal as preconditioner."""
        diagonal = scale * self._squares + shift
        found, rest = np.zeros_like(right), right.copy()
        direction = rest / diagonal
        size = (rest * direction).sum(axis=0)
        enough = tolerance**2 * (right * right).sum(axis=0)
        for _ in range(limit):
            image = scale * (self._transposed @ (self.features @ direction)) + shift * direction
            step = size / np.maximum((direction * image).sum(axis=0), np.finfo(np.float32).tiny)
            found += step * direction
            rest -= step * image
            if ((rest * rest).sum(axis=0) <= enough).all():
                break
            scaled = rest / diagonal
            grown = (rest * scaled).sum(axis=0)
            direction = scaled + grown / np.maximum(size, np.finfo(np.float32).tiny) * direction
            size = grown
        return found


class MeanProduct:
    """The mean of products A Bᵀ, for A (m, dim) and B (n, dim), as one product of factors with at most `rank` columns.

    The (m, n) matrices are never formed. When enough columns have come together they are reduced to those of the largest singular
    values.
    """

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self._left: list[Tensor] = []
        self._right: list[Tensor] = []
        self._count = 0

    def add(self, left: Tensor, right: Tensor) -> None:
        """Takes one product's factors, float32 (m, dim) and (n, dim)."""
        self._left.append(left)
        self._right.append(right)
        self._count += 1
        if sum(part.shape[1] for part in self._left) >= 2 * self.rank + left.shape[1]:
            self._reduce()

    def factors(self) -> tuple[Tensor, Tensor]:
        """float32 (m, rank) and (n, rank), by falling singular value, which both share; columns beyond those there are hold 0."""
        self._reduce()
        return self._left[0] / self._count, self._right[0]

    def _reduce(self) -> None:
        turned, upper = zip(*(torch.linalg.qr(torch.cat(parts, dim=1)) for parts in (self._left, self._right)), strict=True)
        u, s, v = torch.linalg.svd(upper[0] @ upper[1].T)
        kept = min(self.rank, len(s))
        root = s[:kept].sqrt()
        both = (turned[0] @ (u[:, :kept] * root), turned[1] @ (v[:kept].T * root))
        self._left, self._right = ([torch.nn.functional.pad(side, (0, self.rank - kept))] for side in both)


def normal_gamma(values: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A draw of mean and precision of each column of normal `values`, (n, dim), with a weak prior for values of size about 1.

    Precision ~ Gamma(1, `RATE`), mean ~ N(0, 1 / precision), as in libFM (Rendle 2012, §5.3), where the rate is 1.
    """
    count, mean = len(values), values.mean(0).double().numpy()
    spread = (values - values.mean(0)).double().square().sum(0).numpy()
    rate = RATE + spread / 2 + count * mean**2 / (2 * (1 + count))
    precision = generator.gamma(1 + count / 2, 1 / rate)
    drawn = count * mean / (1 + count) + generator.standard_normal(len(mean)) / np.sqrt((1 + count) * precision)
    return torch.from_numpy(drawn).float(), torch.from_numpy(precision).float()


def precision_of(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A draw of the precision of each column of normal `values` with mean 0, (n, columns); its prior is Gamma(1, `RATE`)."""
    squares = np.square(values, dtype=np.float64).sum(axis=0)
    return generator.gamma(1 + len(values) / 2, 1 / (RATE + squares / 2)).astype(np.float32)  # type: ignore[no-any-return]
