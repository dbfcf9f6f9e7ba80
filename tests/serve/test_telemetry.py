"""Spans of requests."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tastemaker.errors import MissingExtraError
from tastemaker.serve.monitor import Seen
from tastemaker.serve.telemetry import Spans

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_request_is_a_child_of_its_callers_span() -> None:
    exporter = InMemorySpanExporter()
    spans = Spans(exporter)
    seen = Seen("r1", "GET", "/v1/users/{user_id}", status=503, started=1.0, read=1.1, handled=1.2, written=1.25)
    spans.request(seen, {b"traceparent": f"00-{TRACE}-{PARENT}-01".encode()}, ended_ns=2_000_000_000)
    spans.request(Seen("r2", "GET", "/livez", status=200), {b"traceparent": b"nonsense"}, ended_ns=1)
    spans.close()
    first, second = exporter.get_finished_spans()
    assert (first.name, format(first.context.trace_id, "032x"), format(first.parent.span_id, "016x")) == (
        "GET /v1/users/{user_id}",
        TRACE,
        PARENT,
    )
    assert first.end_time - first.start_time == 250_000_000
    assert first.attributes["http.response.status_code"] == 503
    assert not first.status.is_ok
    assert second.parent is None


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtraError, match=r"tastemaker\[telemetry\]"):
        Spans()
