"""An item's own page: what is known of it, what users did with it, what the model goes by."""

from __future__ import annotations

import datetime as dt

from tastemaker.data.vocabulary import FIRST
from tastemaker.serve import catalogue
from tastemaker.serve.browse.finder import Finder
from tastemaker.serve.browse.segment import title_of
from tastemaker.serve.outcomes import Share
from tastemaker.serve.times import to_text
from tastemaker.serve.view import View
from tastemaker.store.base import Store
from tastemaker.wire.browse import Day, ItemProfile, Like

DAYS = 30
_DAY = 86_400_000_000
_LIKE = 5
"""Items that stand for one that the model never saw, at most."""


def profile(finder: Finder, store: Store, item_id: str, now: int) -> ItemProfile:
    """See `Service.profile`."""
    moment, row = finder.moment_of(item_id)
    view, survey, numbers = moment.view, moment.survey, moment.numbers(row)
    item, code = view.stock.items[row], view.code(item_id)
    shown, clicked = numbers.shown or 0, numbers.clicked or 0
    share = Share.wilson(min(clicked, shown), shown)  # an item may be clicked twice where it was shown once
    trained = view.recommender is not None and code is not None and FIRST <= code < view.known
    return ItemProfile(
        item=catalogue.item_reply(item),
        title=title_of(item),
        numbers=numbers,
        ranked=len(survey) - 1,
        like=_like(view, code) if numbers.known_by == "likeness" and code is not None else [],
        trained_with=int(view.recommender.events[code]) if trained and view.recommender is not None else None,
        days=_days(store, item_id, now),
        events_window_seconds=finder.popular_seconds,
        reach_window_seconds=survey.reach_seconds,
        reach_counted_at=None if survey.reach_counted_at is None else to_text(survey.reach_counted_at),
        click_share=share.value,
        click_low=share.low,
        click_high=share.high,
        counted_at=to_text(survey.counted_at),
        model=view.model_name or None,
        version=None if view.version is None else view.version.version,
    )


def _like(view: View, code: int) -> list[Like]:
    return [
        Like(item_id=view.ids[known], title=title_of(view.item(known)), weight=round(weight, 4))
        for known, weight in view.stands_for(code, _LIKE)
    ]


def _days(store: Store, item_id: str, now: int) -> list[Day]:
    today = now // _DAY
    first = max(0, today - DAYS + 1)
    events: dict[int, dict[str, int]] = {day: {} for day in range(first, today + 1)}
    for day, kind, count in store.days_of(item_id, first, today):
        events[day][kind] = count
    begin = dt.date(1970, 1, 1)
    return [Day(day=(begin + dt.timedelta(days=day)).isoformat(), events=found) for day, found in events.items()]
