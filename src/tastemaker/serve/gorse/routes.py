"""Gorse's verbs, as rows of the table."""

from __future__ import annotations

from tastemaker.serve.auth import PUBLIC
from tastemaker.serve.gorse import handlers as h
from tastemaker.serve.route import Route
from tastemaker.wire import gorse as g

_RECOMMEND, _EVENTS, _CATALOGUE = "recommend", "events:write", "catalog:write"
_LIST = list[g.GorseScore]
_FEEDBACK = list[g.GorseFeedbackReply]

ROUTES = (
    Route("POST", "/api/item", _CATALOGUE, h.put_item, "Puts an item.", g.RowAffected, body=g.GorseItem),
    Route("POST", "/api/items", _CATALOGUE, h.put_items, "Puts items.", g.RowAffected, body=list[g.GorseItem]),
    Route("PUT", "/api/item", _CATALOGUE, h.put_item, "Puts an item.", g.RowAffected, body=g.GorseItem),
    Route("PUT", "/api/items", _CATALOGUE, h.put_items, "Puts items.", g.RowAffected, body=list[g.GorseItem]),
    Route("GET", "/api/items", _CATALOGUE, h.items, "Items.", g.GorseItems, query=g.GorsePageQuery, problems=(400,)),
    Route("GET", "/api/item/{item_id}", _CATALOGUE, h.item, "An item.", g.GorseItemReply, problems=(404,)),
    Route(
        "PATCH",
        "/api/item/{item_id}",
        _CATALOGUE,
        h.patch_item,
        "Changes an item.",
        g.RowAffected,
        body=g.GorseItemPatch,
        problems=(404,),
    ),
    Route("DELETE", "/api/item/{item_id}", _CATALOGUE, h.delete_item, "Removes an item.", g.RowAffected, problems=(404,)),
    Route(
        "PUT",
        "/api/item/{item_id}/category/{category}",
        _CATALOGUE,
        h.add_category,
        "Puts an item into a category.",
        g.RowAffected,
        problems=(404,),
    ),
    Route(
        "DELETE",
        "/api/item/{item_id}/category/{category}",
        _CATALOGUE,
        h.remove_category,
        "Takes an item out of a category.",
        g.RowAffected,
        problems=(404,),
    ),
    Route("POST", "/api/user", _CATALOGUE, h.put_user, "Puts a user.", g.RowAffected, body=g.GorseUser),
    Route("POST", "/api/users", _CATALOGUE, h.put_users, "Puts users.", g.RowAffected, body=list[g.GorseUser]),
    Route("PUT", "/api/user", _CATALOGUE, h.put_user, "Puts a user.", g.RowAffected, body=g.GorseUser),
    Route("PUT", "/api/users", _CATALOGUE, h.put_users, "Puts users.", g.RowAffected, body=list[g.GorseUser]),
    Route("GET", "/api/users", _CATALOGUE, h.users, "Users.", g.GorseUsers, query=g.GorsePageQuery, problems=(400,)),
    Route("GET", "/api/user/{user_id}", _CATALOGUE, h.user, "A user.", g.GorseUserReply, problems=(404,)),
    Route(
        "PATCH",
        "/api/user/{user_id}",
        _CATALOGUE,
        h.patch_user,
        "Changes a user.",
        g.RowAffected,
        body=g.GorseUserPatch,
        problems=(404,),
    ),
    Route("DELETE", "/api/user/{user_id}", _CATALOGUE, h.delete_user, "Erases a user.", g.RowAffected, problems=(404,)),
    Route(
        "POST",
        "/api/feedback",
        _EVENTS,
        h.add_feedback,
        "Keeps feedback where there is none.",
        g.RowAffected,
        body=list[g.GorseFeedback],
    ),
    Route(
        "PUT",
        "/api/feedback",
        _EVENTS,
        h.put_feedback,
        "Keeps feedback in place of what there is.",
        g.RowAffected,
        body=list[g.GorseFeedback],
    ),
    *(
        Route("GET", f"/api/{what}/{{{what}_id}}/feedback{end}", _CATALOGUE, handler, f"Feedback by {what}.", _FEEDBACK)
        for what, handler in (("user", h.feedback_of_user), ("item", h.feedback_of_item))
        for end in ("", "/{feedback_type}")
    ),
    *(
        Route(method, f"{path}{end}", _RECOMMEND, handler, summary, reply, body=body, query=query, problems=(404, 422))
        for method, path, handler, summary, reply, body, query in (
            (
                "GET",
                "/api/recommend/{user_id}",
                h.recommend,
                "Items for a user.",
                list[str | g.GorseScore],
                None,
                g.GorseRecommendQuery,
            ),
            (
                "POST",
                "/api/session/recommend",
                h.recommend_session,
                "Items for a session.",
                _LIST,
                list[g.GorseSession],
                g.GorseNeighboursQuery,
            ),
            ("GET", "/api/item/{item_id}/neighbors", h.neighbours, "Items like an item.", _LIST, None, g.GorseNeighboursQuery),
            ("GET", "/api/popular", h.popular, "What most users met.", _LIST, None, g.GorseListQuery),
            ("GET", "/api/latest", h.latest, "What is newest.", _LIST, None, g.GorseListQuery),
        )
        for end in ("", "/", "/{category}")  # clients of Gorse send an empty category as a slash
    ),
    *(
        Route(
            "GET",
            f"/api/user/{{user_id}}/neighbors{end}",
            _RECOMMEND,
            h.user_neighbours,
            "Users like a user.",
            _LIST,
            query=g.GorseNeighboursQuery,
        )
        for end in ("", "/")
    ),
    *(
        Route("GET", f"/api/health/{what}", PUBLIC, h.health, "Whether the service runs.", g.GorseHealth)
        for what in ("live", "ready")
    ),
)
"""Rows of the table of routes."""
