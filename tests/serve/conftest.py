"""A town made once, and copies of it for tests that change it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tastemaker.recommend.recommender import Recommender
from tastemaker.store.base import Store, open_store

from . import towns


@pytest.fixture(scope="session")
def town_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("town") / "shop.db"
    towns.town(path).close()
    return path


@pytest.fixture
def store(town_file: Path, tmp_path: Path) -> Iterator[Store]:
    """A store of one's own."""
    shutil.copy(town_file, tmp_path / "shop.db")
    with open_store(f"sqlite:///{tmp_path / 'shop.db'}") as opened:
        yield opened


@pytest.fixture(scope="session")
def good() -> Recommender:
    """A model that knows the town."""
    return towns.model("ease", regularization=50.0)


@pytest.fixture(scope="session")
def weak() -> Recommender:
    """A model that knows less of it."""
    return towns.model("item_knn", neighbours=3)


@pytest.fixture(scope="session")
def shuffled() -> Recommender:
    """A model that learned from shuffled labels."""
    return towns.model("ease", shuffled=True, regularization=50.0)


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory, good: Recommender, weak: Recommender, shuffled: Recommender) -> Path:
    """The three, saved."""
    folder = tmp_path_factory.mktemp("artifacts")
    for name, one in (("good", good), ("weak", weak), ("shuffled", shuffled)):
        towns.saved(one, folder / name)
    return folder
