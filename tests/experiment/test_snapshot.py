import pyarrow.parquet as pq
import pytest

from tastemaker.errors import DataError
from tastemaker.experiment import snapshot
from tastemaker.experiment.config import Config
from tastemaker.experiment.run import load_parts, train_run
from tastemaker.store.base import Event, Item, open_store

START = 1_700_000_000_000_000
EASE = {"model": {"name": "ease"}, "evaluate": {"bootstrap": 0, "baselines": []}}


@pytest.fixture
def store(tmp_path):
    with open_store(str(tmp_path / "shop.db")) as opened:
        opened.add_events(
            [Event(f"u{u}", f"i{(u + n) % 7}", START + u * 100 + n, "view", n + 1.0) for u in range(12) for n in range(5)]
        )
        yield opened


def config(**sections):
    return Config.parse(EASE | sections)


def test_a_snapshot_is_read_as_the_store_has_it(store, tmp_path):
    store.put_items([Item("i3", {"title": "Three", "price": 2}, ("odd", "small")), Item("never", {"title": "No events"})])
    taken = snapshot.taken(config(), store, tmp_path / "data")
    assert (taken.fresh, taken.sequence) == (True, store.last_sequence())
    dataset, _, imported = load_parts(taken.config)
    assert (imported.rows, imported.accepted) == (60, 60)
    rows = dataset.interactions
    ours = sorted(
        zip(
            dataset.users.decode(rows.user),
            dataset.items.decode(rows.item),
            rows.time.tolist(),
            rows.value.tolist(),
            strict=True,
        )
    )
    assert ours == sorted((f"u{u}", f"i{(u + n) % 7}", START + u * 100 + n, n + 1.0) for u in range(12) for n in range(5))
    three = dataset.catalogue.take([dataset.items.ids.to_pylist().index("i3")]).to_pylist()[0]
    assert three == {"categories": ["odd", "small"], "title": "Three", "price": 2.0}


def test_events_that_come_later_wait_for_the_next_snapshot(store, tmp_path):
    first = snapshot.taken(config(), store, tmp_path / "data")
    store.add_events([Event("u1", "i9", START)])
    again = snapshot.taken(config(), store, tmp_path / "data")
    assert (again.fresh, again.sequence) == (False, first.sequence)


def test_a_store_without_events_is_said_to_be_so(tmp_path):
    with open_store(str(tmp_path / "empty.db")) as empty, pytest.raises(DataError, match="a store without events"):
        snapshot.taken(config(), empty, tmp_path / "data")


def test_senders_cannot_make_more_kinds_than_a_model_can_tell_apart(store, tmp_path):
    store.add_events([Event("u1", "i1", START + n, f"kind{n}") for n in range(300)] + [Event("u1", "i1", START, "buy")])
    taken = snapshot.taken(config(data={"kinds": {"buy": 2.0, "view": 1.0, "other": 0.5}}), store, tmp_path / "data")
    kinds = set(pq.read_table(tmp_path / "data" / "events.parquet")["kind"].to_pylist())
    assert len(kinds) == snapshot.KINDS + 3
    assert {"buy", "other", "view"} <= kinds
    load_parts(taken.config)


def test_a_run_on_a_store_keeps_no_copy_of_it(store, tmp_path):
    result = train_run(config(), tmp_path / "run", store=store)
    assert result.report["data"]["store_sequence"] == store.last_sequence()
    assert not (tmp_path / "run" / "data").exists()
    assert result.recommender.recommend("u1", 2)
