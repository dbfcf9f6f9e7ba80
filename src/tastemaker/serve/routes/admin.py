"""Routes of keys, the audit log and the store."""

from __future__ import annotations

from tastemaker.serve.handlers import control, system
from tastemaker.serve.route import Route
from tastemaker.wire import control as c
from tastemaker.wire import lineage as v

_ADMIN = "admin"

ADMIN = (
    Route("GET", "/v1/keys", _ADMIN, control.keys, "All keys, without secrets.", c.KeysReply, dashboard=True),
    Route("POST", "/v1/keys", _ADMIN, control.make_key, "Makes a key.", c.KeyMade, body=c.KeyBody, status=201),
    Route("DELETE", "/v1/keys/{key_id}", _ADMIN, control.revoke_key, "Revokes a key.", status=204, problems=(404,)),
    Route(
        "GET",
        "/v1/audit",
        _ADMIN,
        control.audit_log,
        "Who did what.",
        c.Rows,
        query=c.AuditQuery,
        problems=(400,),
        dashboard=True,
    ),
    Route("GET", "/v1/statistics", _ADMIN, control.statistics, "Rows and bytes of the store.", dict, dashboard=True),
    Route("GET", "/v1/system", _ADMIN, control.system, "What runs the service.", v.System, dashboard=True),
    Route("GET", "/v1/slow-requests", _ADMIN, system.slow, "The last slow requests.", c.SlowRequests, dashboard=True),
)
