"""Routes of events."""

from __future__ import annotations

from tastemaker.serve.handlers import events
from tastemaker.serve.route import Route
from tastemaker.wire import bodies as w
from tastemaker.wire import control as c
from tastemaker.wire import data as d

_EVENTS = "events:write"
_CATALOGUE = "catalog:write"

EVENTS = (
    Route(
        "POST",
        "/v1/events",
        _EVENTS,
        events.send,
        "Takes events; answered when they are durable.",
        w.EventsTaken,
        body=c.Events,
        lenient=c.AnyEvents,
        status=202,
        browser=True,
        room="writes",
    ),
    Route(
        "GET",
        "/v1/events",
        _CATALOGUE,
        events.events,
        "Events of a user or of an item, newest first.",
        w.EventsReply,
        query=c.EventsQuery,
        problems=(400,),
        dashboard=True,
    ),
    Route(
        "GET",
        "/v1/dead-letters",
        _CATALOGUE,
        events.dead_letters,
        "Events that were refused, newest first.",
        c.Rows,
        query=d.LettersQuery,
        problems=(400,),
        dashboard=True,
    ),
)
