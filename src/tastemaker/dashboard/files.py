"""The files of the dashboard, held in memory and packed once.

```
/                            index.html, with the folder of this version in it
/dashboard/VERSION/app.js …  everything else; VERSION is a hash of all files, so a browser may keep them for ever
```

The policy sent with the page lets nothing run or load but these files, the API beside them, and images of listed origins.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tastemaker.errors import ConfigError

_MEDIA = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.*-]+(:\d+)?")


class Files:
    """The page and its files as routes."""

    def __init__(self, image_origins: Sequence[str] = ()) -> None:
        """Reads and packs all files; images of `image_origins` may be shown.

        Raises:
            ConfigError: an origin is none.
        """
        for origin in image_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigError(f"http.image_origins: {origin!r}", expected="an origin, such as https://img.shop.example")
        self._packed, self.version, self._page = _packed()
        self._policy = policy(image_origins)
        page = gzip.decompress(self._page).replace(b"IMAGE-ORIGINS", " ".join(image_origins).encode())
        self._page = gzip.compress(page, 9, mtime=0)

    @property
    def routes(self) -> list[BaseRoute]:
        """The page at / and its files."""
        return [Route("/", self._index), Route("/dashboard/{version}/{path:path}", self._file)]

    async def _index(self, request: Request) -> Response:
        return self._answer(
            request,
            self._page,
            "text/html; charset=utf-8",
            {
                "cache-control": "no-cache",
                "content-security-policy": self._policy,
                "referrer-policy": "no-referrer",
                "cross-origin-opener-policy": "same-origin",
            },
        )

    async def _file(self, request: Request) -> Response:
        path = request.path_params["path"]
        if path not in self._packed:
            return Response("no such file\n", 404, media_type="text/plain")
        same = request.path_params["version"] == self.version  # of another version the file may be another one soon
        kept = "public, max-age=31536000, immutable" if same else "no-store"
        return self._answer(request, self._packed[path], _MEDIA[path.rpartition(".")[2]], {"cache-control": kept})

    @staticmethod
    def _answer(request: Request, packed: bytes, media: str, headers: dict[str, str]) -> Response:
        headers = {**headers, "x-content-type-options": "nosniff", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, headers={**headers, "content-encoding": "gzip"}, media_type=media)
        return Response(gzip.decompress(packed), headers=headers, media_type=media)


def policy(image_origins: Sequence[str] = ()) -> str:
    """The Content-Security-Policy of the page."""
    images = " ".join(["'self'", "data:", *image_origins])
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src {images}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _packed() -> tuple[dict[str, bytes], str, bytes]:
    """All files but the page, gzipped, by path; their version; and the page, gzipped."""
    found = dict(sorted(_files(resources.files("tastemaker.dashboard").joinpath("static"), "")))
    page = found.pop("index.html")
    digest = hashlib.sha256(page)
    for path, content in found.items():
        digest.update(path.encode() + b"\0" + content + b"\0")
    version = digest.hexdigest()[:12]
    packed = {path: gzip.compress(content, 9, mtime=0) for path, content in found.items()}
    return packed, version, gzip.compress(page.replace(b"VERSION", version.encode()), 9, mtime=0)


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for one in folder.iterdir():
        if one.is_dir():
            yield from _files(one, f"{prefix}{one.name}/")
        elif one.name == "index.html" or one.name.rpartition(".")[2] in _MEDIA:
            yield f"{prefix}{one.name}", one.read_bytes()
