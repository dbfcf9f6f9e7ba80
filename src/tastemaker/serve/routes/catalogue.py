"""Routes of items and users."""

from __future__ import annotations

from tastemaker.serve.handlers import catalogue
from tastemaker.serve.route import Route
from tastemaker.wire import bodies as w
from tastemaker.wire import browse as b
from tastemaker.wire import control as c

_CATALOGUE = "catalog:write"

CATALOGUE = (
    Route("PUT", "/v1/items/{item_id}", _CATALOGUE, catalogue.put_item, "Puts an item.", w.ItemReply, body=w.ItemBody),
    Route(
        "PATCH",
        "/v1/items/{item_id}",
        _CATALOGUE,
        catalogue.patch_item,
        "Changes some of an item.",
        w.ItemReply,
        body=w.ItemPatch,
        problems=(404,),
    ),
    Route("GET", "/v1/items/{item_id}", _CATALOGUE, catalogue.item, "An item.", w.ItemReply, problems=(404,), dashboard=True),
    Route("DELETE", "/v1/items/{item_id}", _CATALOGUE, catalogue.delete_item, "Removes an item.", status=204, problems=(404,)),
    Route(
        "GET",
        "/v1/items",
        _CATALOGUE,
        catalogue.items,
        "The catalogue, or what of it a query, a list and a filter hold, best first.",
        b.FoundItems,
        query=b.ItemsQuery,
        problems=(400, 409),
        dashboard=True,
    ),
    Route(
        "GET",
        "/v1/catalogue",
        _CATALOGUE,
        catalogue.glance,
        "The catalogue at a glance: how many items each list and category has.",
        b.CatalogueReply,
        query=b.CatalogueQuery,
        dashboard=True,
    ),
    Route(
        "GET",
        "/v1/items/{item_id}/profile",
        _CATALOGUE,
        catalogue.profile,
        "What is known of an item: events by day, reach, and what the model goes by.",
        b.ItemProfile,
        problems=(404,),
        dashboard=True,
    ),
    Route(
        "POST",
        "/v1/items:batch",
        _CATALOGUE,
        catalogue.put_items,
        "Puts items: 1000 as JSON, any number as JSON lines.",
        w.RowsTaken,
        body=c.Items,
        rows=True,
    ),
    Route("PUT", "/v1/users/{user_id}", _CATALOGUE, catalogue.put_user, "Puts a user.", w.UserReply, body=w.UserBody),
    Route(
        "PATCH",
        "/v1/users/{user_id}",
        _CATALOGUE,
        catalogue.patch_user,
        "Changes some of a user.",
        w.UserReply,
        body=w.UserPatch,
        problems=(404,),
    ),
    Route("GET", "/v1/users/{user_id}", _CATALOGUE, catalogue.user, "A user.", w.UserReply, problems=(404,), dashboard=True),
    Route(
        "DELETE",
        "/v1/users/{user_id}",
        _CATALOGUE,
        catalogue.erase,
        "Erases a user, with a receipt.",
        w.JobReply,
        status=202,
        problems=(404,),
    ),
    Route(
        "GET", "/v1/users", _CATALOGUE, catalogue.users, "Users.", w.UsersReply, query=c.Paged, problems=(400,), dashboard=True
    ),
    Route(
        "POST",
        "/v1/users:batch",
        _CATALOGUE,
        catalogue.put_users,
        "Puts users: 1000 as JSON, any number as JSON lines.",
        w.RowsTaken,
        body=c.Users,
        rows=True,
    ),
    Route(
        "POST",
        "/v1/users/{user_id}:merge",
        _CATALOGUE,
        catalogue.merge,
        "Takes over the events of another user.",
        w.Merged,
        body=c.Merge,
        problems=(404,),
    ),
    Route(
        "GET",
        "/v1/users/{user_id}/export",
        _CATALOGUE,
        catalogue.export,
        "Everything held on a user.",
        dict,
        problems=(404,),
    ),
)
