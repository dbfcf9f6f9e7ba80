"""All routes, in one table: what is not here is not served, and what is here is guarded and documented."""

from __future__ import annotations

from tastemaker.serve import control as c
from tastemaker.serve import wire as w
from tastemaker.serve.auth import ANY, PUBLIC
from tastemaker.serve.handlers import catalogue, control, events, recommend, system
from tastemaker.serve.route import Route

_RECOMMEND, _EVENTS, _CATALOGUE, _MODELS, _METRICS, _ADMIN = (
    "recommend",
    "events:write",
    "catalog:write",
    "models",
    "metrics",
    "admin",
)

RECOMMENDATIONS = (
    Route("POST", "/v1/recommendations", _RECOMMEND, recommend.recommend, "Items for a user.", w.Answer, body=w.Recommend, browser=True),
    Route(
        "GET",
        "/v1/users/{user_id}/recommendations",
        _RECOMMEND,
        recommend.for_user,
        "Items for a user; nothing is kept of the answer, so it has no next page.",
        w.Answer,
        query=c.RecommendQuery,
        browser=True,
    ),
    Route(
        "GET",
        "/v1/recommendations/{recommendation_id}/next",
        _RECOMMEND,
        recommend.next_page,
        "More items after an answer, none of them again.",
        w.Answer,
        query=c.NextQuery,
        browser=True,
        problems=(400, 404),
    ),
    Route(
        "POST",
        "/v1/sessions/recommendations",
        _RECOMMEND,
        recommend.recommend,
        "Items for a session that is sent along; nothing of it is stored.",
        w.Answer,
        body=w.RecommendSession,
        browser=True,
    ),
    Route(
        "POST",
        "/v1/recommendations:batch",
        _RECOMMEND,
        recommend.batch,
        "Several shelves of one page, no item twice.",
        w.Answers,
        body=w.RecommendBatch,
        browser=True,
    ),
    Route("POST", "/v1/rank", _RECOMMEND, recommend.rank, "A given list in a user's order.", w.Answer, body=w.Rank, browser=True),
    Route(
        "POST",
        "/v1/items:complementary",
        _RECOMMEND,
        recommend.complementary,
        "What goes with a basket.",
        w.Answer,
        body=w.Complementary,
        browser=True,
    ),
    Route(
        "GET",
        "/v1/items/{item_id}/similar",
        _RECOMMEND,
        recommend.similar,
        "Items like an item.",
        w.Answer,
        query=c.SimilarQuery,
        browser=True,
        problems=(404,),
    ),
    Route(
        "GET",
        "/v1/users/{user_id}/similar",
        _RECOMMEND,
        recommend.similar_users,
        "Users like a user.",
        w.SimilarUsers,
        query=c.NextQuery,
        problems=(404,),
    ),
    Route(
        "GET",
        "/v1/items/{item_id}/audience",
        _RECOMMEND,
        recommend.audience,
        "Users who would like an item.",
        w.SimilarUsers,
        query=c.NextQuery,
        problems=(404,),
    ),
    Route(
        "GET", "/v1/popular", _RECOMMEND, recommend.popular, "What most users met.", w.Answer, query=c.PopularQuery, browser=True
    ),
    Route(
        "GET",
        "/v1/trending",
        _RECOMMEND,
        recommend.trending,
        "What most users met lately.",
        w.Answer,
        query=c.PopularQuery,
        browser=True,
    ),
    Route(
        "GET", "/v1/latest", _RECOMMEND, recommend.latest, "What is newest.", w.Answer, query=c.PopularQuery, browser=True
    ),
    Route(
        "POST", "/v1/explain", _RECOMMEND, recommend.explain, "Why an item is recommended, or why not.", w.Trace, body=w.Explain,
        problems=(404,),
    ),
)  # fmt: skip

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
    ),
    Route(
        "GET",
        "/v1/dead-letters",
        _CATALOGUE,
        events.dead_letters,
        "Events that were refused, newest first.",
        c.Rows,
        query=c.Paged,
        problems=(400,),
    ),
)

CATALOGUE = (
    Route("PUT", "/v1/items/{item_id}", _CATALOGUE, catalogue.put_item, "Puts an item.", body=w.ItemBody, status=204),
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
    Route("GET", "/v1/items/{item_id}", _CATALOGUE, catalogue.item, "An item.", w.ItemReply, problems=(404,)),
    Route(
        "DELETE", "/v1/items/{item_id}", _CATALOGUE, catalogue.delete_item, "Removes an item.", status=204, problems=(404,)
    ),
    Route(
        "GET",
        "/v1/items",
        _CATALOGUE,
        catalogue.items,
        "The catalogue.",
        w.ItemsReply,
        query=c.PagedFilter,
        problems=(400,),
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
    Route("PUT", "/v1/users/{user_id}", _CATALOGUE, catalogue.put_user, "Puts a user.", body=w.UserBody, status=204),
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
    Route("GET", "/v1/users/{user_id}", _CATALOGUE, catalogue.user, "A user.", w.UserReply, problems=(404,)),
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
    Route("GET", "/v1/users", _CATALOGUE, catalogue.users, "Users.", w.UsersReply, query=c.Paged, problems=(400,)),
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

MODELS = (
    Route("GET", "/v1/models", _MODELS, control.models, "All versions, and the one in use.", c.ModelsReply),
    Route("POST", "/v1/models:rollback", _MODELS, control.rollback, "Back to the version before.", c.ModelReply, problems=(404, 409, 422)),
    Route("GET", "/v1/models/{name}/versions", _MODELS, control.versions, "Versions of a name.", c.ModelsReply),
    Route(
        "POST",
        "/v1/models/{name}:train",
        _MODELS,
        control.train,
        "Starts a training.",
        w.JobReply,
        body=c.TrainBody,
        status=202,
        problems=(409,),
    ),
    Route(
        "POST",
        "/v1/models/{name}/versions/{version}:promote",
        _MODELS,
        control.promote,
        "Puts a version into use, if it passes the gate.",
        c.ModelReply,
        body=c.PromoteBody,
        problems=(404, 409),
    ),
    Route("GET", "/v1/schedules", _MODELS, control.schedules, "What is trained by itself.", c.SchedulesReply),
    Route(
        "PUT",
        "/v1/schedules/{name}",
        _MODELS,
        control.set_schedule,
        "Trains by itself, by time or by events.",
        c.ScheduleBody,
        body=c.ScheduleBody,
    ),
    Route("DELETE", "/v1/schedules/{name}", _MODELS, control.end_schedule, "Ends a schedule.", status=204),
    Route("GET", "/v1/jobs", _MODELS, control.list_jobs, "The newest jobs.", c.JobsReply, query=c.JobsQuery),
    Route("GET", "/v1/jobs/{job_id}", _MODELS, control.job, "A job.", w.JobReply, problems=(404,)),
    Route("POST", "/v1/jobs/{job_id}:cancel", _MODELS, control.cancel_job, "Ends a job.", w.JobReply, problems=(404, 409)),
)

ADMIN = (
    Route("GET", "/v1/keys", _ADMIN, control.keys, "All keys, without secrets.", c.KeysReply),
    Route("POST", "/v1/keys", _ADMIN, control.make_key, "Makes a key.", c.KeyMade, body=c.KeyBody, status=201),
    Route("DELETE", "/v1/keys/{key_id}", _ADMIN, control.revoke_key, "Revokes a key.", status=204, problems=(404,)),
    Route("GET", "/v1/audit", _ADMIN, control.audit_log, "Who did what.", c.Rows, query=c.Paged, problems=(400,)),
    Route("GET", "/v1/statistics", _ADMIN, control.statistics, "Rows and bytes of the store.", dict),
    Route("GET", "/v1/slow-requests", _ADMIN, system.slow, "The last slow requests.", c.SlowRequests),
)

SYSTEM = (
    Route("GET", "/livez", PUBLIC, system.alive, "Whether the process runs.", c.Alive),
    Route("GET", "/readyz", PUBLIC, system.ready, "Whether requests should be sent here.", c.Readiness),
    Route("GET", "/metrics", _METRICS, system.metrics, "Metrics for Prometheus.", media="text/plain"),
    Route("GET", "/openapi.json", ANY, system.document, "This document.", dict),
    Route("GET", "/docs", PUBLIC, system.page, "This document as a page.", media="text/html"),
)

ROUTES: tuple[Route, ...] = RECOMMENDATIONS + EVENTS + CATALOGUE + MODELS + ADMIN + SYSTEM
