"""The page on the service: each of its curl lines is run, and each route has one."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serve import judged
from tests.serve.serving import Server, serving

from tastemaker.recommend import artifact
from tastemaker.serve import browser
from tastemaker.serve.auth import SCOPES, new_key
from tastemaker.serve.registry import Registry
from tastemaker.serve.route import Table
from tastemaker.serve.routes import ROUTES

PAGE = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
    for line in block.splitlines()
    if line.startswith("curl")
]
NAMED = {"next_cursor": "$CURSOR", "job_id": "$JOB", "key_id": "$KEY_ID"}
"""Fields of answers that later lines name."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A town with two versions of its model, and a key."""
    folder = tmp_path_factory.mktemp("town")
    key, secret = new_key(["admin"])
    judged.runs(folder / "runs")
    with serving(folder, keys=lambda store: store.add_key(key), runs=folder / "runs") as found:
        registry = Registry(found.store, folder / "models")
        saved = artifact.save(found.service.view.recommender, folder / "artifact")
        for _ in range(2):
            registry.add(saved, "item_knn")
        found.client.headers["authorization"] = f"Bearer {secret}"
        while found.service.finder.map().state == "computing":  # lines of the page ask for its points
            time.sleep(0.05)
        yield found


def asked(line: str) -> tuple[str, str, dict[str, str], str | None]:
    """Verb, path, headers and body of a curl line; other options than the page's are an error."""
    verb, address, headers, body = None, "", {}, None
    words = iter(shlex.split(line)[1:])
    for word in words:
        if word == "-X":
            verb = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif word != "-N":  # not to hold back what comes
            assert word.startswith("http://127.0.0.1:8000/"), word
            address = word.removeprefix("http://127.0.0.1:8000")
    return verb or ("GET" if body is None else "POST"), address, headers, body


def test_every_line_works_and_every_route_has_one(server: Server) -> None:
    table, used = Table(ROUTES), set()
    names = dict(
        zip(("$RUN", "$OTHER"), (one["run_id"] for one in server.client.get("/v1/runs").json()["runs"][-2:]), strict=True)
    )
    for line in LINES:
        for name, value in names.items():
            line = line.replace(name, value)
        verb, path, headers, body = asked(line)
        answer = server.begin(verb, path, headers=headers, content=body)
        assert answer.status_code < 300, f"{line}\n{answer.text}"
        used.add(table.find(verb, path.partition("?")[0].encode())[0].path + " " + verb)
        found: dict[str, Any] = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        if "/next" not in path:
            names.update({name: found[field] for field, name in NAMED.items() if found.get(field)})
    own = {f"{route.path} {route.method}" for route in ROUTES if not route.path.startswith("/api/")}  # those are Gorse's
    assert own - used == set()


def test_the_page_signs_tokens_as_the_service_reads_them() -> None:
    names: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)[0], names)
    assert browser.verify("secret", names["user_token"]("secret", "ü/1"), now=0) == "ü/1"


def test_the_page_names_every_scope_and_every_metric(server: Server) -> None:
    for scope in SCOPES.keys() - {"experiments"}:
        assert f"`{scope}`" in PAGE
    for name in re.findall(r"^# TYPE (tastemaker_\w+) ", server.client.get("/metrics").text, re.M):
        if not name.endswith(("_created", "_info")):
            assert name in PAGE, name
