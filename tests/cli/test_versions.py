import pytest

from tastemaker.experiment.result import RunResult
from tastemaker.store.base import Event, open_store


@pytest.fixture(scope="module")
def trained(shop):
    """A store with the shop's events, and what `train --store --promote` said of it."""
    with open_store(str(shop.folder / "live.db")) as store:
        rows = [line.split(",") for line in (shop.folder / "events.csv").read_text().splitlines()[1:]]
        store.add_events([Event(user, item, int(seconds) * 1_000_000) for user, item, seconds in rows])
    (shop.folder / "knn.toml").write_text(shop.config.read_text().split("[model]")[0] + '[model]\nname = "item_knn"\n')
    arguments = ("--set", "evaluate.ks=[3]", "--set", "evaluate.baselines=[]", "--store", shop.folder / "live.db")
    return shop.json("train", shop.folder / "knn.toml", *arguments, "--out", shop.folder / "live-run", "--promote")


@pytest.fixture
def versions(shop, trained):
    def call(verb, *arguments):
        return shop.json("versions", verb, *arguments, "--store", shop.folder / "live.db")

    return call


def test_train_on_a_store_makes_a_version_and_puts_it_into_use(shop, trained, versions):
    assert trained["version"] == {"name": "item_knn", "version": 1, "state": "promoted"}
    (row,) = versions("list")["versions"]
    assert (row["state"], row["path"]) == ("promoted", str(shop.folder / "models" / "item_knn" / "1"))
    assert "fewer than 100" in row["facts"]["gate"]["warnings"][0]
    report = RunResult.read(shop.folder / "live-run").report
    assert report["data"]["import"]["sources"] == ["events.parquet"]
    assert row["facts"]["learned"]["sequence"] == report["data"]["store_sequence"] > 0


def test_a_version_is_added_promoted_and_rolled_back(shop, versions):
    added = versions("add", shop.artifact, "sasrec")["version"]
    assert (added["name"], added["version"], added["state"]) == ("sasrec", 1, "candidate")
    refused = shop.call("versions", "promote", "sasrec", "1", "--store", shop.folder / "live.db")
    assert refused.exit_code == 2
    assert "nothing can be said" in refused.stderr
    assert "--force" in refused.stderr or "force" in refused.stderr
    assert versions("promote", "sasrec", "1", "--force")["version"]["state"] == "promoted"
    assert versions("rollback")["version"]["name"] == "item_knn"
    listed = shop.call("versions", "list", "--store", shop.folder / "live.db").stdout
    assert "retired" in listed
    assert "nothing can be said" in listed


def test_promote_without_a_store_is_the_users_mistake(shop):
    result = shop.call("train", shop.config, "--promote")
    assert result.exit_code == 2
    assert "--store" in result.stderr
