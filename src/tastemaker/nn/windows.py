"""Convolutions over the last few tokens before every place of a ragged row, for all places at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def windows(positions: Tensor, length: int) -> Tensor:
    """int64 (tokens, length): the places of the `length` newest tokens up to each one, oldest first; `tokens` where the row had not begun.

    `positions` is int64 (tokens,): 0 for the first token of each row, 1 for the next, …
    """
    back = torch.arange(length - 1, -1, -1, device=positions.device)
    places = torch.arange(len(positions), device=positions.device).unsqueeze(1) - back
    return torch.where(positions.unsqueeze(1) >= back, places, len(positions))


class WindowConvolutions(nn.Module):
    """Horizontal and vertical convolutions over the last `length` tokens (Tang & Wang 2018, eq. 3-8): what is seen at every token.

    Horizontal filters look at 1, 2, … `length` tokens in a row, `horizontal` filters for each height; of each, the strongest answer (ReLU) anywhere
    in the window counts. A vertical filter is a weighted sum of the window's tokens. Tokens before a row's first are zero.

    A filter of height h is kept as one of the full height whose older rows are zero: its answers at the end of every token are one matrix product
    over packed tokens, and a window takes the maximum over those that lie in it.
    """

    taken: Tensor
    """float32 (length · horizontal, length · dim): 1 where a filter of its height looks"""
    inside: Tensor
    """bool (length, length · horizontal): whether a filter that ends at this place of a window lies in it"""

    def __init__(self, dim: int, length: int, horizontal: int, vertical: int) -> None:
        super().__init__()
        self.length = length
        self.across = nn.Linear(length * dim, length * horizontal)
        self.down = nn.Linear(length, vertical, bias=False)
        self.out_features = length * horizontal + dim * vertical
        heights = torch.arange(1, length + 1).repeat_interleave(horizontal)
        ages = torch.arange(length - 1, -1, -1).repeat_interleave(dim)
        self.register_buffer("taken", (ages.unsqueeze(1) < heights).float().T.contiguous(), persistent=False)
        self.register_buffer("inside", torch.arange(1, length + 1).unsqueeze(1) >= heights, persistent=False)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        """(tokens, dim) → (tokens, `out_features`); `places` from `windows`."""
        seen = _rows(tokens, places, tokens.new_zeros(tokens.shape[1]))
        answers = F.relu(F.linear(seen.flatten(1), self.across.weight * self.taken, self.across.bias))
        ends = _rows(answers, places, F.relu(self.across.bias))  # no answer is below 0, so 0 stands for none
        return torch.cat([(ends * self.inside).amax(1), self.down(seen.transpose(1, 2)).flatten(1)], dim=1)


def _rows(values: Tensor, places: Tensor, otherwise: Tensor) -> Tensor:
    """(tokens, n) → (tokens, length, n): the rows at `places`, `otherwise` at those that are nowhere."""
    return torch.cat([values, otherwise.unsqueeze(0)]).index_select(0, places.flatten()).view(*places.shape, values.shape[1])
