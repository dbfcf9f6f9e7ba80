"""DIN: what of the history bears on the candidate."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.nn.histories import Past
from tastemaker.nn.rows import Rows
from tastemaker.nn.target_attention import TargetAttention
from tastemaker.rankers.base import HistoryConfig, HistoryRanker


class DIN(HistoryRanker):
    """Logits = MLP([v_1; …; v_F; Σ_j a(e_j, t) e_j]), t the candidate, e_j the events (Zhou et al. 2018, "Deep interest network", eq. 3).

    The activation unit a reads [e; t; e - t; e ⊙ t], as the authors' code does, and its weights pass no softmax, as in the paper: an empty history is
    zero, and the order of events counts for nothing. `activation = "dice"` is the paper's, for the unit and the perceptron; the default costs a third
    less. Deviations: L2 of the tables is `[train] embedding_l2`, of the touched rows alone (the paper's mini-batch aware regularisation, eq. 7, but not divided
    by how often a value occurs) where tables are large.
    """

    class Config(HistoryConfig):
        """Settings of `din`."""

        attention: tuple[int, ...] = Field((36,), min_length=1, description="widths of the activation unit's layers")

    solves = ("tastes",)
    ancestor = "dnn"
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema)
        self.attention = nn.ModuleList(TargetAttention(config.dim, config.attention, config.activation) for _ in self.histories)

    def interest(self, place: int, past: Past, rows: Rows) -> Tensor:
        return self.attention[place](self.vectors.table(past.codes), past.target, past.offsets)
