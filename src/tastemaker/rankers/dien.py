"""DIEN: how the interest that the candidate appeals to has come to be."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.histories import Past
from tastemaker.nn.recurrent import AUGRU, Steps
from tastemaker.nn.rows import Rows
from tastemaker.nn.segments import rows_of, softmax, weighted_sum
from tastemaker.rankers.base import HistoryConfig, HistoryRanker


class DIEN(HistoryRanker):
    """Two recurrent networks over the history (Zhou et al. 2019, "Deep interest evolution network for click-through rate prediction").

    The first, a GRU, says what the interest h_j was after each event; the second, an AUGRU, follows the interests as far as the candidate t
    attends to them, w_j = softmax_j(h_j · W t) (eq. 12, 15 and 16). Its last state joins the perceptron, and so do the mean m of the events
    and m ⊙ t, as in the authors' code (where m is a sum): without them few epochs teach little. An empty history is zero.

    An auxiliary loss (eq. 6) has h_j tell the next event from another, -log σ(h_j · e_{j+1}) - log σ(-h_j · ê), ê any event of the batch; it is
    `penalty`. Deviations: it is a mean over events, not a sum over each row's, so that long histories do not drown out the labels; a negative
    may by chance be an event of the same history; an inner product, as in the paper, where the authors' code has a perceptron.
    """

    class Config(HistoryConfig):
        """Settings of `dien`."""

        auxiliary: float = Field(1.0, ge=0, description="weight of the auxiliary loss; 0: none")

    solves = ("tastes",)
    ancestor = "din"
    config: Config
    interests = 3

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        count, dim = len(self.histories), config.dim
        self.extract = nn.ModuleList(AUGRU(dim, dim) for _ in range(count))
        self.attend = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in range(count))
        self.evolve = nn.ModuleList(AUGRU(dim, dim) for _ in range(count))
        self._told: list[Tensor] = []

    def forward(self, rows: Rows) -> Tensor:
        self._told = []
        return super().forward(rows)

    def interest(self, place: int, past: Past, rows: Rows) -> Tensor:
        with torch.autocast(
            past.target.device.type, enabled=False
        ):  # steps are small: they cost less as they are than converted
            events, steps = self.vectors.table(past.codes), Steps.of(past.offsets)
            states = self.extract[place](events, None, steps)
            if self.training and self.config.auxiliary:
                self._told.append(_auxiliary(states, events, past.offsets))
            wanted = self.attend[place](past.target.float())
            of = rows_of(past.offsets, len(events))
            scores = (states * wanted.index_select(0, of)).sum(1)
            evolved = self.evolve[place](states, softmax(scores, past.offsets), steps)
            some = (past.offsets.diff() > 0).nonzero().squeeze(1)
            last = evolved.index_select(0, past.offsets.index_select(0, some + 1) - 1)
            final = past.target.new_zeros(past.target.shape).index_copy(0, some, last)
            mean = weighted_sum(events, past.offsets.diff().float().reciprocal().index_select(0, of), past.offsets)
            return torch.cat([final, mean, past.target * mean], 1)

    def penalty(self) -> Tensor | None:
        told, self._told = self._told, []
        return self.config.auxiliary * torch.stack(told).sum() if told else None


def _auxiliary(states: Tensor, events: Tensor, offsets: Tensor) -> Tensor:
    """Mean over all events that have one before them; 0 where there are none."""
    later = torch.ones(len(events), dtype=torch.bool, device=events.device)
    later[offsets[:-1][offsets.diff() > 0]] = False
    places = later.nonzero().squeeze(1)
    if not len(places):
        return events.sum() * 0.0
    known = states.index_select(0, places - 1)
    others = events.index_select(0, torch.randint(len(events), (len(places),)).to(events.device))
    right = (known * events.index_select(0, places)).sum(1)
    return (F.softplus(-right) + F.softplus((known * others).sum(1))).mean()
