"""What clients of Gorse send and get: its names, with unknown fields let pass as Gorse does.

Labels are any JSON; times are any ISO 8601, a day alone included.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from tastemaker.wire.bodies import Body, Id, Name, Reply

Number = Annotated[int, Meta(ge=1, le=1000)]
Offset = Annotated[int, Meta(ge=0, le=1000)]
Category = Annotated[str, Meta(max_length=256)]


class Sent(Struct, rename="pascal", kw_only=True):
    """Base of what comes in."""


class GorseItem(Sent):
    """An item."""

    item_id: Id
    is_hidden: bool = False
    labels: Any = None
    categories: list[str] | None = None
    timestamp: str | None = None
    comment: str = ""


class GorseItemPatch(Sent):
    """Changes of an item; null changes nothing."""

    is_hidden: bool | None = None
    labels: Any = None
    categories: list[str] | None = None
    timestamp: str | None = None
    comment: str | None = None


class GorseUser(Sent):
    """A user."""

    user_id: Id
    labels: Any = None
    comment: str = ""


class GorseUserPatch(Sent):
    """Changes of a user; null changes nothing."""

    labels: Any = None
    comment: str | None = None


class GorseFeedback(Sent):
    """What a user did with an item."""

    feedback_type: str
    user_id: str
    item_id: str
    value: float = 0.0
    timestamp: str | None = None
    comment: str = ""


class GorseSession(Sent):
    """What somebody did in a session."""

    item_id: Id
    feedback_type: str = ""
    user_id: str = ""
    value: float = 0.0
    timestamp: str | None = None
    comment: str = ""


class GorseListQuery(Body, rename={"user_id": "user-id"}):
    """How many, from where."""

    n: Number = 10
    offset: Offset = 0
    category: Category | None = None
    user_id: Id | None = None
    """leaves out what this user has met"""


class GorseNeighboursQuery(Body):
    """How many, from where."""

    n: Number = 10
    offset: Offset = 0
    category: Category | None = None


class GorseRecommendQuery(Body, rename={"write_back_type": "write-back-type", "write_back_delay": "write-back-delay"}):
    """How many, from where; writing back is refused, since GET never writes here."""

    n: Number = 10
    offset: Offset = 0
    category: Category | None = None
    write_back_type: Name | None = None
    write_back_delay: Annotated[str, Meta(max_length=64)] | None = None


class GorsePageQuery(Body):
    """A page."""

    n: Number = 10
    cursor: Annotated[str, Meta(max_length=4096)] = ""


class Got(Reply, rename="pascal"):
    """Base of what goes out."""


class RowAffected(Got):
    """How many rows changed."""

    row_affected: int


class GorseScore(Got):
    """An item, or a user, and its score."""

    id: str
    score: float


class GorseItemReply(Got):
    """An item as held."""

    item_id: str
    is_hidden: bool
    labels: Any
    categories: list[str]
    timestamp: str
    comment: str


class GorseItems(Got):
    """A page of the catalogue."""

    cursor: str
    items: list[GorseItemReply]


class GorseUserReply(Got):
    """A user as held."""

    user_id: str
    labels: Any
    comment: str


class GorseUsers(Got):
    """A page of users."""

    cursor: str
    users: list[GorseUserReply]


class GorseFeedbackReply(Got):
    """Feedback as held."""

    feedback_type: str
    user_id: str
    item_id: str
    value: float
    timestamp: str
    comment: str


class GorseHealth(Got):
    """Whether the service runs, and is ready."""

    ready: bool

