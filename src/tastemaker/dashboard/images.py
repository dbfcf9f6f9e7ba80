"""Pictures of items from a folder, for catalogues whose pictures are files: `/images/PATH` is FOLDER/PATH.

Only PNG, JPEG, GIF, WebP and AVIF files go out, told by their first bytes, not by their names: an SVG or a page would be a program. What
lies outside the folder, by `..` or by a link, is not there.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from tastemaker.errors import ConfigError

_PREFIX = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"
_MEDIA = "image/png", "image/jpeg", "image/gif", "image/gif"


class Images:
    """The pictures of a folder as a route."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError where there is no such folder."""
        self._folder = folder.resolve()
        if not self._folder.is_dir():
            raise ConfigError(f"http.images: no folder {str(folder)!r}", expected="the folder of the items' pictures")

    @property
    def routes(self) -> list[BaseRoute]:
        """/images/…"""
        return [Route("/images/{path:path}", self._image)]

    async def _image(self, request: Request) -> Response:
        found = await asyncio.to_thread(self._find, request.path_params["path"])
        if found is None:
            return Response("no such picture\n", 404, media_type="text/plain")
        path, media = found
        headers = {
            "cache-control": "private, max-age=3600",
            "content-security-policy": "default-src 'none'",
            "x-content-type-options": "nosniff",
        }
        return FileResponse(path, media_type=media, headers=headers)

    def _find(self, path: str) -> tuple[Path, str] | None:
        try:
            whole = (self._folder / path).resolve()
            if not whole.is_relative_to(self._folder) or not whole.is_file():
                return None
            with whole.open("rb") as file:
                media = media_of(file.read(16))
        except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
            return None
        return None if media is None else (whole, media)


def media_of(start: bytes) -> str | None:
    """The kind of a picture by its first 16 bytes; None: not one that is served."""
    for prefix, media in zip(_PREFIX, _MEDIA, strict=True):
        if start.startswith(prefix):
            return media
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    return "image/avif" if start[4:12] in (b"ftypavif", b"ftypavis") else None
