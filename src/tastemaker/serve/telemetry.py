"""OpenTelemetry spans for requests; the packages come with the extra `telemetry` and are imported only when asked for.

Where spans go is set by OpenTelemetry's own environment variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`…).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tastemaker.errors import MissingExtraError

if TYPE_CHECKING:
    from tastemaker.serve.monitor import Seen


class Spans:
    """A span for each request, a child of the caller's where the request carries `traceparent`."""

    def __init__(self, exporter: Any = None) -> None:
        """`exporter` is OTLP over HTTP unless given. Raises MissingExtraError when OpenTelemetry is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace import SpanKind, Status, StatusCode
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            raise MissingExtraError("opentelemetry-sdk", "telemetry", "traces") from None
        self._provider = TracerProvider()
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("tastemaker")
        self._context = TraceContextTextMapPropagator()
        self._server, self._error = SpanKind.SERVER, Status(StatusCode.ERROR)

    def request(self, seen: Seen, headers: Mapping[bytes, bytes], ended_ns: int) -> None:
        """Records a request that is over; `ended_ns` is the time in ns since 1970."""
        parent = self._context.extract({"traceparent": headers.get(b"traceparent", b"").decode("latin-1")})
        span = self._tracer.start_span(
            f"{seen.method} {seen.route}",
            context=parent,
            kind=self._server,
            start_time=ended_ns - int((seen.written - seen.started) * 1e9),
            attributes={
                "http.request.method": seen.method,
                "http.route": seen.route,
                "http.response.status_code": seen.status,
                "tastemaker.request_id": seen.request_id,
            },
        )
        if seen.status >= 500:
            span.set_status(self._error)
        span.end(ended_ns)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()
