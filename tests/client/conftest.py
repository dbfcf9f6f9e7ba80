"""A real server with two kinds of keys, and a faulty line to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.client.faults import Proxy, faulty
from tests.serve.serving import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("client")) as found:
        yield found


@pytest.fixture
def line(server: Server) -> Iterator[Proxy]:
    with faulty(server.url) as proxy:
        yield proxy
