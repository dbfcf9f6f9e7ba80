"""A small shop with a model, made once; each test gets a copy of its store, and real server processes over it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.serve.process import Process
from bench.serve.world import World, world
from tests.chaos.live import started


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> World:
    """100 items, 1000 users, 20,000 events, a sasrec."""
    return world(tmp_path_factory.mktemp("shop"), 0.001)


@pytest.fixture
def store(shop: World, tmp_path: Path) -> str:
    """The URL of a store of one's own."""
    shutil.copy(shop.store, tmp_path / "shop.db")
    return f"sqlite:///{tmp_path / 'shop.db'}"


@pytest.fixture(scope="session")
def server(shop: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A server for tests that leave it alive; each uses users of its own."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(shop.store, folder / "shop.db")
    with started(
        f"sqlite:///{folder / 'shop.db'}", folder, "--set", "serve.popular_refresh_seconds=0.2", artifact=shop.artifact
    ) as running:
        yield running
