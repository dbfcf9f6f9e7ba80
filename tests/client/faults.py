"""What goes wrong between a client and a server: a proxy that drops connections and refuses, as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


class Proxy:
    """Forwards to a server; what is in `plan` happens first, one entry a request.

    "drop": the connection ends unanswered, nothing is forwarded. "swallow": the server gets the request and answers, the client hears
    nothing. A number: that status, with `retry_after`.
    """

    def __init__(self, target: str) -> None:
        self.plan: list[str | int] = []
        self.retry_after: str | None = None
        self.requests: list[tuple[str, str, bytes]] = []
        self.url = ""
        self._target = httpx.Client(base_url=target, timeout=20)
        self._lock = threading.Lock()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        with self._lock:
            self.requests.append((handler.command, handler.path, body))
            fault = self.plan.pop(0) if self.plan else None
        if fault == "drop":
            handler.close_connection = True
            return
        if isinstance(fault, int):
            handler.send_response(fault)
            if self.retry_after is not None:
                handler.send_header("retry-after", self.retry_after)
            handler.send_header("content-length", "0")
            handler.end_headers()
            return
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "connection")}
        got = self._target.request(handler.command, handler.path, content=body, headers=headers)
        if fault == "swallow":
            handler.close_connection = True
            return
        handler.send_response(got.status_code)
        for name in ("content-type", "x-request-id", "retry-after"):
            if name in got.headers:
                handler.send_header(name, got.headers[name])
        handler.send_header("content-length", str(len(got.content)))
        handler.end_headers()
        handler.wfile.write(got.content)


@contextmanager
def faulty(target: str) -> Iterator[Proxy]:
    """A proxy before a server."""
    proxy = Proxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def __getattr__(self, name: str) -> object:
            if name.startswith("do_"):
                return lambda: proxy.answer(self)
            raise AttributeError(name)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        proxy._target.close()
