"""Pictures of a folder: what is one goes out under its own type, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tastemaker.dashboard.images import Images
from tastemaker.errors import ConfigError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
JPEG = b"\xff\xd8\xff\xe0" + bytes(16)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    folder = tmp_path / "pictures"
    (folder / "a b").mkdir(parents=True)
    (folder / "1.png").write_bytes(PNG)
    (folder / "a b" / "2.png").write_bytes(JPEG)
    (folder / "drawing.png").write_bytes(SVG)
    (folder / "page.png").write_bytes(b"<!doctype html><script>alert(1)</script>")
    (folder / "empty.png").write_bytes(b"")
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    with TestClient(Starlette(routes=Images(folder).routes)) as client:
        yield client


def test_the_type_is_that_of_the_bytes_and_is_not_guessed_again(client: TestClient) -> None:
    for path, media, content in (("1.png", "image/png", PNG), ("a%20b/2.png", "image/jpeg", JPEG)):
        answer = client.get(f"/images/{path}")
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, media, content)
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["etag"]
        assert answer.headers["content-security-policy"] == "default-src 'none'"


@pytest.mark.parametrize("path", ["drawing.png", "page.png", "empty.png", "none.png", "", "a%20b"])
def test_what_is_no_picture_is_not_there(client: TestClient, path: str) -> None:
    assert client.get(f"/images/{path}").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["out.png", "up/secret.png", "loop.png", "..%2Fsecret.png", "a%20b/..%2F..%2Fsecret.png", "%2Fetc%2Fpasswd", "1.png%00"],
)
def test_nothing_outside_the_folder_is_there(client: TestClient, path: str) -> None:
    assert client.get(f"/images/{path}").status_code == 404


def test_a_folder_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"http\.images"):
        Images(tmp_path / "none")
