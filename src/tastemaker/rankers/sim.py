"""SIM: the few events of a long history that the candidate calls up, and the newest ones."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError, DataError
from tastemaker.nn.histories import Past, highest, newest
from tastemaker.nn.rows import Rows
from tastemaker.nn.segments import rows_of
from tastemaker.nn.target_attention import TargetAttention
from tastemaker.rankers.base import HistoryConfig, HistoryRanker


class SIM(HistoryRanker):
    """Search-based interest model (Pi et al. 2020): the `relevant` best events of the history are searched for, and only they are attended to.

    With `categories`, a sequence that says of which category each event is, the best are the newest of the candidate's category (hard search, eq. 3); else those of the largest
    inner product with it (soft search). Both what was found and the `recent` newest events pass through target attention, as in `din`, and join the perceptron.
    Vectors are looked up, and gradients flow, for what is attended to alone. Deviations: the soft search compares the vectors that the rest of the network learns, without maps
    and an auxiliary loss of its own; attention is DIN's in both halves, where the paper has several heads with times for the found and DIEN for the newest.
    """

    class Config(HistoryConfig):
        """Settings of `sim`."""

        relevant: int = Field(50, ge=1, description="events that the search keeps")
        recent: int = Field(10, ge=1, description="newest events that are attended to in any case")
        categories: str | None = Field(
            None, description="sequence of the events' categories, which shares that of the candidate; default: soft search"
        )
        attention: tuple[int, ...] = Field((36,), min_length=1, description="widths of the activation units' layers")

    solves = ("tastes",)
    ancestor = "din"
    interests = 2
    config: Config

    def __init__(self, config: Config, schema: RowSchema) -> None:
        super().__init__(config, schema, but=() if config.categories is None else (config.categories,))
        units = (config.dim, config.attention, config.activation)
        self.of_found = nn.ModuleList(TargetAttention(*units) for _ in self.histories)
        self.of_newest = nn.ModuleList(TargetAttention(*units) for _ in self.histories)
        self._categories: tuple[int, int] | None = None
        if config.categories is not None:
            many = list(schema.of("bag", "sequence"))
            names = [field.name for field in schema.of("category")]
            known = {field.name: (place, names.index(field.shares)) for place, field in enumerate(many) if field.shares}
            if config.categories not in known:
                raise ConfigError(
                    f"model.categories: {config.categories!r}",
                    expected="a sequence that shares a category's vocabulary" + (f": {', '.join(known)}" if known else ""),
                )
            self._categories = known[config.categories]

    def interest(self, place: int, past: Past, rows: Rows) -> Tensor:
        found, recent = self.search(past, rows), past.newest(self.config.recent)
        table = self.vectors.table
        return torch.cat(
            [
                self.of_found[place](table(found.codes), found.target, found.offsets),
                self.of_newest[place](table(recent.codes), recent.target, recent.offsets),
            ],
            1,
        )

    @torch.no_grad()
    def _places(self, past: Past, rows: Rows) -> tuple[Tensor | None, Tensor]:
        of = rows_of(past.offsets, len(past.codes))
        if self._categories is None:
            if not len(of) or int(past.offsets.diff().max()) <= self.config.relevant:
                return None, past.offsets
            events = self.vectors.table.weight.index_select(0, past.codes)
            scores = (events * past.target.index_select(0, of)).sum(1)
            return highest(past.offsets, self.config.relevant, scores)
        bag, target = self._categories
        codes, offsets = rows.bags[bag]
        if not torch.equal(offsets, past.offsets):
            raise DataError(
                f"{len(past.codes):,} events with {len(codes):,} categories in {self.config.categories!r}",
                expected="a category for each event",
                hint="write a text such as 'none' where a category is missing",
            )
        return newest(offsets, self.config.relevant, codes == rows.codes[:, target].index_select(0, of))

    def search(self, past: Past, rows: Rows) -> Past:
        """The events that are found, oldest first."""
        places, offsets = self._places(past, rows)
        return past if places is None else Past(past.codes.index_select(0, places), offsets, past.target)
