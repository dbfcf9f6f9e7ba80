"""What the items of a list stand on: events of the user's own, or the list they were taken from."""

from __future__ import annotations

import numpy as np

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.recommend.reasons import effects, strongest
from tastemaker.serve.asks import Row
from tastemaker.serve.view import View
from tastemaker.wire.bodies import Because

REASONS = 3
"""Reasons given for an item at most."""


def reasons_of(row: Row, view: View, codes: list[int] | None = None) -> dict[int, list[Because]]:
    """Reasons by code, for the row's list or for `codes`; newcomers stand on the known items most like them."""
    codes = row.codes if codes is None else codes
    if row.origin != "model" or view.scoring is None:
        return {code: [Because(kind=row.sources.get(code, "popular"))] for code in codes}
    wanted = [code for code in codes if code not in row.sources and code < view.known]
    reasons = {code: [Because(kind=row.sources[code])] for code in codes if code in row.sources}
    history = view.read_as[row.past.codes] if row.past.codes else np.zeros(0, np.int64)
    history = history[history != UNKNOWN]
    if wanted and len(history):
        one = Histories.of([history])
        sources, effect = effects(view.scoring.model, view.scoring, row.past.user_code, one, np.array(wanted, np.int64))
        for code, column in zip(wanted, effect.T, strict=True):
            reasons[code] = [
                Because(kind="because_of", item_id=view.ids[int(sources[place])], weight=round(share, 4))
                for place, share in strongest(column, REASONS)
            ]
    for code in codes:
        if code >= view.known and code not in reasons:
            reasons[code] = [
                Because(kind="like", item_id=view.ids[known], weight=round(weight, 4))
                for known, weight in view.stands_for(code)
            ]
    return reasons
