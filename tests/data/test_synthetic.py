from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from tastemaker.data import synthetic
from tastemaker.data.synthetic import World
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.errors import ConfigError

WORLDS = {
    "chain": synthetic.chain,
    "two_tastes": synthetic.two_tastes,
    "cold_twins": synthetic.cold_twins,
    "noise": synthetic.noise,
    "popular": synthetic.popular,
    "repeats": synthetic.repeats,
    "planted_bias": synthetic.planted_bias,
}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return WORLDS[request.param](generator=3)


def lists_by(scores: np.ndarray, world: World, k: int) -> np.ndarray:
    """Top-k lists of real items from scores (asked, num_items), ties to the lower code, seen filtered as the world says."""
    scores = scores.astype(float).copy()
    scores[:, :FIRST] = -np.inf
    if not world.include_seen:
        histories = world.histories
        scores[np.repeat(np.arange(len(histories)), histories.lengths), histories.items] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.where(np.isneginf(np.take_along_axis(scores, order, axis=1)), 0, order)


def longest(world: World) -> int:
    return int(world.answer.lengths.max())


def test_the_answer_itself_hits_in_full(world):
    width = longest(world)
    lists = np.zeros((len(world.users), width + 2), dtype=np.int32)
    for row in range(len(world.users)):
        right = world.answer.row(row)
        lists[row, : len(right)] = right
    assert world.hit_share(lists) == 1.0


def test_random_lists_hit_by_chance(world):
    rng = np.random.default_rng(0)
    shape = (len(world.users), world.dataset.items.size)
    shares = [world.hit_share(lists_by(rng.random(shape), world, longest(world))) for _ in range(60)]
    assert abs(np.mean(shares) - world.chance) < 5 * world.chance_sd / np.sqrt(60)
    assert 0.5 * world.chance_sd < np.std(shares) < 1.6 * world.chance_sd


def test_code_order_gives_no_answer_away(world):
    scores = -np.tile(np.arange(world.dataset.items.size), (len(world.users), 1))
    shares = [WORLDS[world.name](generator=s).hit_share(lists_by(scores, world, longest(world))) for s in range(8)]
    assert np.mean(shares) < world.chance + 0.2


def test_same_seed_same_world_and_another_seed_another(world):
    build = WORLDS[world.name]
    assert build(generator=3).dataset.fingerprint == world.dataset.fingerprint
    assert build(generator=4).dataset.fingerprint != world.dataset.fingerprint
    assert np.array_equal(build(generator=np.random.default_rng(3)).answer.items, world.answer.items)


def test_worlds_are_sorted_tiny_and_use_every_code(world):
    rows = world.dataset.interactions
    assert np.array_equal(np.lexsort((rows.time, rows.user)), np.arange(len(rows)))
    assert len(world.dataset.users) <= 60
    assert len(world.dataset.items) <= 40
    assert np.array_equal(np.unique(rows.user), np.arange(FIRST, world.dataset.users.size))
    used = rows.item if world.name != "cold_twins" else np.concatenate([rows.item, world.answer.items])
    assert np.array_equal(np.unique(used), np.arange(FIRST, world.dataset.items.size))


def test_answers_are_unseen_unless_the_world_allows_seen(world):
    for row in range(len(world.users)):
        seen = np.isin(world.answer.row(row), world.histories.row(row))
        assert seen.all() if world.include_seen else not seen.any()
        assert len(np.unique(world.answer.row(row))) == len(world.answer.row(row)) > 0


def test_lists_of_a_wrong_shape_are_refused(world):
    with pytest.raises(ValueError, match="lists of shape"):
        world.hit_share(np.zeros((len(world.users) + 1, 9), dtype=np.int32))


def test_the_chain_is_solved_by_transitions_and_not_by_popularity():
    world = synthetic.chain(generator=1)
    size = world.dataset.items.size
    follows, rows = np.zeros((size, size)), world.dataset.interactions
    same = rows.user[1:] == rows.user[:-1]
    np.add.at(follows, (rows.item[:-1][same], rows.item[1:][same]), 1)
    last = world.histories.last(1).items
    assert world.hit_share(lists_by(follows[last], world, 1)) == 1.0
    counts = np.tile(np.bincount(rows.item, minlength=size), (len(world.users), 1))
    assert world.hit_share(lists_by(counts, world, 1)) < 0.3


def test_noise_makes_the_chain_harder():
    rows = synthetic.chain(noise=0.5, generator=1).dataset.interactions
    same = rows.user[1:] == rows.user[:-1]
    pairs = np.unique(np.stack([rows.item[:-1][same], rows.item[1:][same]]), axis=1).shape[1]
    assert pairs > 100  # the clean chain has 20
    clean = synthetic.chain(generator=1).dataset.interactions
    same = clean.user[1:] == clean.user[:-1]
    assert np.unique(np.stack([clean.item[:-1][same], clean.item[1:][same]]), axis=1).shape[1] == 20


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_two_tastes_is_solved_by_co_occurrence_and_not_by_popularity(noise):
    world = synthetic.two_tastes(noise=noise, generator=2)
    cells = world.dataset.interactions.matrix(world.dataset.users.size, world.dataset.items.size).toarray()
    scores = (cells @ (cells.T @ cells))[world.users]
    assert world.hit_share(lists_by(scores, world, 2)) > 0.95
    popularity = np.tile(cells.sum(axis=0), (len(world.users), 1))
    assert world.hit_share(lists_by(popularity, world, 2)) < 0.6


def test_two_tastes_withholds_every_item_equally_often():
    world = synthetic.two_tastes(generator=2)
    assert set(np.bincount(world.answer.items)[FIRST:]) == {4}


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_cold_twins_is_solved_by_titles_and_by_nothing_that_counts_events(noise):
    world = synthetic.cold_twins(60, 24, 4, noise=noise)
    titles = world.dataset.catalogue["title"].to_pylist()
    vocabulary = sorted({word for title in titles for word in title.split()})
    words = np.array([[word in title.split() for word in vocabulary] for title in titles], float)
    words = np.concatenate([np.zeros((FIRST, words.shape[1])), words])
    seen = np.zeros((len(world.users), world.dataset.items.size))
    np.add.at(seen, (np.repeat(np.arange(len(seen)), world.histories.lengths), world.histories.items), 1)
    assert world.hit_share(lists_by(seen @ words @ words.T, world, longest(world))) == (
        1.0 if noise == 0 else pytest.approx(1, abs=0.2)
    )
    for blind in (seen @ (seen.T @ seen), np.tile(seen.sum(axis=0), (len(seen), 1))):
        assert world.hit_share(lists_by(blind, world, longest(world))) < world.chance + 5 * world.chance_sd


def test_popular_turns_in_the_last_week():
    ever, late = synthetic.popular(generator=5), synthetic.popular(recent=True, generator=5)
    assert ever.dataset.fingerprint == late.dataset.fingerprint
    rows = ever.dataset.interactions
    size = ever.dataset.items.size
    newest = rows.time >= rows.time.max() - 7 * 86_400_000_000
    counts, recent = np.bincount(rows.item, minlength=size), np.bincount(rows.item[newest], minlength=size)
    assert len(np.unique(counts[FIRST:])) == len(np.unique(recent[FIRST:])) == size - FIRST
    for world, right in ((ever, counts), (late, recent)):
        assert world.hit_share(lists_by(np.tile(right, (len(world.users), 1)), world, 3)) == 1.0
    assert ever.hit_share(lists_by(np.tile(recent, (len(ever.users), 1)), ever, 3)) < 0.5
    assert ever.users[-1] == UNKNOWN
    assert ever.histories.lengths[-1] == 0


def test_repeats_is_solved_by_reading_the_history():
    world = synthetic.repeats(noise=0.2, generator=6)
    own = world.dataset.interactions.matrix(world.dataset.users.size, world.dataset.items.size, weighted=True).toarray()
    assert world.hit_share(lists_by(own[world.users], world, 3)) > 0.95
    popularity = np.tile(own.sum(axis=0), (len(world.users), 1))
    assert world.hit_share(lists_by(popularity, world, 3)) < 0.4


def test_planted_biases_explain_the_ratings():
    world = synthetic.planted_bias(generator=7)
    rows = world.dataset.interactions
    assert np.allclose(rows.value, world.expected[rows.user, rows.item], atol=1e-6)
    assert world.rmse(world.mean + world.user_bias[:, None] + world.item_bias[None, :]) == pytest.approx(0, abs=1e-9)
    assert world.rmse(np.full(world.expected.shape, world.mean)) == pytest.approx(0.85, abs=0.05)
    assert world.user_bias[FIRST:].mean() == pytest.approx(0, abs=1e-12)
    assert world.hit_share(lists_by(world.expected[world.users], world, 3)) == 1.0


def test_a_planted_factor_is_beyond_biases():
    world = synthetic.planted_bias(factor=0.5, noise=0.1, generator=7)
    assert world.rmse(world.mean + world.user_bias[:, None] + world.item_bias[None, :]) == pytest.approx(0.5, abs=1e-6)
    assert world.rmse(world.expected) == 0


@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        (synthetic.chain, {"length": 20}),
        (synthetic.two_tastes, {"withheld": 10}),
        (synthetic.noise, {"length": 39}),
        (synthetic.popular, {"num_items": 30}),
        (synthetic.repeats, {"staples": 21}),
        (synthetic.planted_bias, {"density": 1.0}),
    ],
)
def test_worlds_too_small_for_what_is_asked_are_refused(build, arguments):
    with pytest.raises(ConfigError, match="at most"):
        build(**arguments)


def test_events_are_written_in_chunks_with_heavy_tails_in_the_order_of_a_log(tmp_path):
    path = synthetic.events(tmp_path / "events.parquet", 25_000, 2_000, 500, seed=1, chunk=10_000)
    assert [pq.ParquetFile(path).metadata.row_group(g).num_rows for g in range(3)] == [10_000, 10_000, 5_000]
    table = pq.read_table(path)
    assert table.column_names == ["user_id", "item_id", "timestamp", "kind"]
    time = table["timestamp"].to_numpy()
    assert (np.diff(time) >= 0).all()
    assert 364 * 86_400 < time[-1] - time[0] <= 365 * 86_400
    counts = np.sort(np.unique(table["item_id"].to_pylist(), return_counts=True)[1])[::-1]
    assert counts[:5].sum() / 25_000 == pytest.approx(2.2833 / 6.7928, rel=0.05)  # the harmonic numbers of 5 and 500
    per_user = np.bincount(table["user_id"].to_numpy(), minlength=2_000)
    assert per_user.std() > per_user.mean()
    kinds, shares = np.unique(table["kind"].to_pylist(), return_counts=True)
    assert dict(zip(kinds, shares / 25_000, strict=True)) == pytest.approx(
        {"view": 0.9, "cart": 0.07, "purchase": 0.03}, abs=0.01
    )
    copies = 25_000 - table.group_by(table.column_names).aggregate([]).num_rows
    assert 150 < copies < 350
    again = synthetic.events(tmp_path / "again.parquet", 25_000, 2_000, 500, seed=1, chunk=10_000)
    assert pq.read_table(again).equals(table)
    assert not pq.read_table(synthetic.events(tmp_path / "other.parquet", 25_000, 2_000, 500, seed=2, chunk=10_000)).equals(
        table
    )
