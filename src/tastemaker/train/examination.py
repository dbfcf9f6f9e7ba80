"""How likely each position is looked at, learned beside a ranker and left behind when rows are asked about."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Examination(nn.Module):
    """p(click) = θ_k σ(s): a ranker's logit s says what a click is worth to whoever looks, θ_k how many look at position k.

    Guo et al. 2019, "PAL: a position-bias aware learning framework for CTR prediction in live recommender systems", eq. 3. Deviations: θ is a number for each position
    where the paper has a network of it and its context, and 1 at the first, since only ratios can be known. The parameter is a tenth of the
    logit of θ, so that Adam, whose steps are of one size, moves it as fast as many weights move s.
    """

    _FASTER = 10.0

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.tenths = nn.Parameter(torch.zeros(positions))

    def forward(self, logits: Tensor, places: Tensor) -> Tensor:
        """Logits of clicks at these places, int64 (rows,), 0 the first: (rows, labels) → (rows, labels)."""
        odds = (self._FASTER * self.tenths).index_select(0, places).unsqueeze(1)
        first = (places == 0).unsqueeze(1)
        seen = F.logsigmoid(odds).masked_fill(first, 0.0)
        unseen = F.logsigmoid(-odds).masked_fill(first, -torch.inf)
        return seen + F.logsigmoid(logits) - torch.logaddexp(unseen, seen + F.logsigmoid(-logits))

    @torch.no_grad()
    def examined(self) -> np.ndarray:
        """θ of each position, float64 (positions,)."""
        found = (self._FASTER * self.tenths).double().sigmoid().cpu().numpy()
        found[:1] = 1.0
        return found
