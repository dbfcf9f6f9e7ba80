"""Small worlds whose right answer is known, and big event tables for speed: tests and benchmarks stand on these.

| world        | what happened                                           | the right answer                      | who can know it        |
|--------------|---------------------------------------------------------|---------------------------------------|------------------------|
| chain        | item n + 1 follows item n, round and round              | the item after the last one           | sequence models        |
| two_tastes   | users of a group take items of the group (checkerboard) | the withheld items of the own group   | collaborative models   |
| repeats      | each user goes through a few own staples, over and over | the own staples, seen before          | who reads the history  |
| popular      | known counts, and a last week in which the order turned | the best liked, ever or of late       | popularity             |
| planted_bias | ratings = mean + user bias + item bias (+ a factor)     | every rating, hence the best unseen   | rating models          |
| cold_twins   | as two_tastes; titles tell the group                    | the new items with a title of the own group | content models    |
| noise        | anything                                                | nothing: no list beats chance         | nobody                 |

Each takes a seed or a generator and a difficulty dial, is learned in a second or two, and shuffles its items, so that the order of
codes says nothing. `World.hit_share(lists)` is 1 for the right answer and about `World.chance` for lists drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.vocabulary import FIRST, UNKNOWN, Vocabulary
from tastemaker.errors import ConfigError

_START = 1_700_000_000_000_000
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


@dataclass(frozen=True, eq=False)
class World:
    """A dataset to train on, who asks, and what the right answer is."""

    name: str
    dataset: Dataset
    """all of its interactions may be learned from; the answers are not among them (but see `include_seen`)"""
    users: np.ndarray
    """int32 (asked,): user codes; UNKNOWN stands for somebody without a history"""
    answer: Histories
    """the right items of each asked user; those of one row are equally right"""
    claim: str
    """the right answer in words"""
    include_seen: bool = False
    """whether lists may hold items of the history (they must, to be right, in `repeats`)"""

    @property
    def histories(self) -> Histories:
        """What is known of each asked user, a row each."""
        return self.dataset.interactions.histories(self.dataset.users.size).take(self.users)

    def hit_share(self, lists: np.ndarray) -> float:
        """Share of right items among the first n of a list, n being how many are right, mean over asked users: 0…1.

        `lists` is int (asked, k), item codes best first, 0 where there is none; k at least the longest answer.
        """
        lengths = self.answer.lengths
        lists = np.asarray(lists)
        if lists.shape[0] != len(self.users) or lists.shape[1] < lengths.max():
            raise ValueError(f"lists of shape {lists.shape}; expected ({len(self.users)}, {lengths.max()} or more)")
        truth = np.zeros((len(self.users), self.dataset.items.size), dtype=bool)
        truth[np.repeat(np.arange(len(self.users)), lengths), self.answer.items] = True
        hits = np.take_along_axis(truth, lists, axis=1) & (np.arange(lists.shape[1]) < lengths[:, None])
        return float((hits.sum(axis=1) / lengths).mean())

    @property
    def chance(self) -> float:
        """The expected `hit_share` of lists drawn at random from the allowed items."""
        return float((self.answer.lengths / self._allowed).mean())

    @property
    def chance_sd(self) -> float:
        """The standard deviation of `hit_share` over such lists."""
        right, allowed = self.answer.lengths, self._allowed
        share = right / allowed
        spare = np.where(allowed > 1, (allowed - right) / np.maximum(allowed - 1, 1), 0.0)
        return float(np.sqrt((share * (1 - share) * spare / right).sum()) / len(right))

    @property
    def _allowed(self) -> np.ndarray:
        if self.include_seen:
            return np.full(len(self.users), len(self.dataset.items))
        histories = self.histories
        return np.asarray([len(self.dataset.items) - len(np.unique(histories.row(r))) for r in range(len(histories))])


@dataclass(frozen=True, eq=False)
class RatedWorld(World):
    """A world of ratings whose rule is known; arrays are indexed by code, PAD and UNKNOWN rows 0."""

    mean: float = 0.0
    user_bias: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """float64 (num_users,), mean 0 over users"""
    item_bias: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """float64 (num_items,), mean 0 over items"""
    expected: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    """float64 (num_users, num_items): each rating without its noise"""

    @property
    def withheld(self) -> np.ndarray:
        """The real cells that nobody rated: bool (num_users, num_items)."""
        cells = np.zeros(self.expected.shape, dtype=bool)
        cells[FIRST:, FIRST:] = True
        cells[self.dataset.interactions.user, self.dataset.interactions.item] = False
        return cells

    def rmse(self, predicted: np.ndarray) -> float:
        """Root mean squared error of `predicted` (num_users, num_items) on the withheld cells, against the ratings without noise."""
        return float(np.sqrt(np.mean((predicted - self.expected)[self.withheld] ** 2)))


def chain(
    num_users: int = 60,
    num_items: int = 20,
    length: int = 8,
    *,
    noise: float = 0.0,
    generator: np.random.Generator | int = 0,
) -> World:
    """Item n + 1 follows item n, the first follows the last; users enter anywhere and stay for `length` steps.

    ```
    user 0:  5 6 7 8 9      user 1:  18 19 0 1 2      user 2:  11 12 13 14 15      ->  10, 3, 16
    ```
    With probability `noise` a step leads anywhere instead, never the last one of a user. All items are equally popular, and no
    history holds its own answer; only the order tells. Needs `length` < `num_items`.
    """
    rng = np.random.default_rng(generator)
    _at_most("chain length", length, num_items - 1)
    codes = _shuffled(num_items, rng)
    starts = (np.arange(num_users) * num_items // num_users)[rng.permutation(num_users)]
    places = (starts[:, None] + np.arange(length)) % num_items
    stray = rng.random(places.shape) < noise
    stray[:, -1] = False
    answers = (places[:, -1] + 1) % num_items
    # a stray step leads anywhere but to the answer, which would then be filtered as seen
    places = np.where(stray, (answers[:, None] + rng.integers(1, num_items, places.shape)) % num_items, places)
    users = np.repeat(np.arange(num_users), length)
    times = np.tile(np.arange(length), num_users)
    return World(
        "chain",
        _dataset(users, codes[places].ravel(), times * _HOUR, num_users, num_items),
        _codes(num_users),
        Histories.of(list(codes[answers][:, None])),
        "the item that follows the last one of the history",
    )


def two_tastes(
    num_users: int = 40,
    num_items: int = 20,
    groups: int = 2,
    withheld: int = 2,
    *,
    noise: float = 0.0,
    generator: np.random.Generator | int = 0,
) -> World:
    """Users of group g take the items of group g, but for `withheld` of them each, which are the answer.

    ```
    items   0 1 2 3 4 5 6 7
    user 0  x . x . ? . x .
    user 1  . x . x . x . ?
    user 2  ? . x . x . x .
    ```
    Every item is withheld equally often, and the order of events is random. The catalogue tells each item's `taste`. On top each user takes the share `noise` of a group's
    items from other groups.
    """
    rng = np.random.default_rng(generator)
    codes = _shuffled(num_items, rng)
    size = num_items // groups
    _at_most("two_tastes withheld", withheld, size - 1)
    group, turn = np.arange(num_users) % groups, np.arange(num_users) // groups
    places = np.arange(size)
    gap = (places[None, :] - turn[:, None] * withheld) % size
    own = gap >= withheld
    table = np.zeros((num_users, num_items), dtype=bool)
    cells = group[:, None] + groups * places[None, :]
    np.put_along_axis(table, cells, own, axis=1)
    if extra := round(noise * size):
        foreign = (np.arange(num_items)[None, :] % groups != group[:, None]) | (np.arange(num_items) >= size * groups)
        _at_most("two_tastes noise", extra, int(foreign.sum(axis=1).min()))
        order = np.argsort(np.where(foreign, rng.random(table.shape), 2.0), axis=1)[:, :extra]
        np.put_along_axis(table, order, True, axis=1)
    users, items = np.nonzero(table)
    tastes = [f"taste {number % groups}" if number < size * groups else None for number in np.argsort(codes)]
    dataset = _dataset(users, codes[items], rng.permutation(len(users)) * _HOUR, num_users, num_items)
    return World(
        "two_tastes",
        replace(dataset, catalogue=pa.table({"taste": pa.array(tastes, pa.string())})),
        _codes(num_users),
        Histories.of([codes[cells[u][~own[u]]] for u in range(num_users)]),
        "the items of the own group that the user has not seen",
    )


def cold_twins(
    num_users: int = 60,
    num_items: int = 24,
    groups: int = 2,
    twins: int = 2,
    *,
    noise: float = 0.0,
    generator: np.random.Generator | int = 0,
) -> World:
    """Users of group g take all items of group g; then `twins` new items come to each group, with the title of an item that is there.

    ```
    item 3   amber basalt cedar own3      taken by group 0
    item 9   amber basalt cedar own3      taken by nobody; an answer of group 0
    ```
    The new items are in the vocabulary and without an event. The catalogue has a `title`: three of the six words of the group, and one
    of the item's own. With probability `noise` an event is of an item of any group.
    """
    rng = np.random.default_rng(generator)
    size = num_items // groups
    _at_most("cold_twins twins", twins, size)
    known, total = size * groups, (size + twins) * groups
    codes = _shuffled(total, rng)
    words = [[f"{_SYLLABLES[group % 8]}{_SYLLABLES[n]}{'a' * (group // 8)}" for n in range(6)] for group in range(groups)]
    titles = [" ".join([*rng.choice(words[item % groups], 3, replace=False), f"own{item}"]) for item in range(known)]
    users = np.repeat(np.arange(num_users), size)
    items = np.tile(np.arange(size) * groups, num_users) + np.repeat(np.arange(num_users) % groups, size)
    items = np.where(rng.random(len(items)) < noise, rng.integers(0, known, len(items)), items)
    dataset = _dataset(users, codes[items], rng.permutation(len(users)) * _HOUR, num_users, total)
    every = [*titles, *titles[: twins * groups]]  # new item n is the twin of item n, of group n % groups
    answer = [codes[known + np.arange(twins) * groups + user % groups] for user in range(num_users)]
    return World(
        "cold_twins",
        replace(dataset, catalogue=pa.table({"title": pa.array([every[n] for n in np.argsort(codes)], pa.string())})),
        _codes(num_users),
        Histories.of(answer),
        "the new items with a title of the own group",
    )


_SYLLABLES = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "hazel")


def noise(
    num_users: int = 60, num_items: int = 40, length: int = 10, answers: int = 5, *, generator: np.random.Generator | int = 0
) -> World:
    """Users take `length` different items at random; the answer is `answers` others at random: there is nothing to learn.

    A model whose `hit_share` leaves `chance` by more than a few `chance_sd` has seen the answer.
    """
    rng = np.random.default_rng(generator)
    _at_most("noise length + answers", length + answers, num_items)
    drawn = _codes(num_items)[np.argsort(rng.random((num_users, num_items)), axis=1)]
    return World(
        "noise",
        _dataset(
            np.repeat(np.arange(num_users), length),
            drawn[:, :length].ravel(),
            rng.permutation(num_users * length) * _HOUR,
            num_users,
            num_items,
        ),
        _codes(num_users),
        Histories.of(list(drawn[:, length : length + answers])),
        "nothing: no list is better than another",
    )


def popular(
    num_users: int = 60,
    num_items: int = 12,
    answers: int = 3,
    *,
    recent: bool = False,
    generator: np.random.Generator | int = 0,
) -> World:
    """The item of rank r (0 the best) was taken 3 (n - r) times in 90 days and r + 1 times in the 7 days after: the order turned.

    Over all time ranks still ascend, 3n + 1 - 2r; in the last 7 days they descend. The answer is the `answers` best that the asked user
    has not seen, by all time or, with `recent`, by the last 7 days; the dataset is the same. The last asker is UNKNOWN.
    """
    rng = np.random.default_rng(generator)
    _at_most("popular counts (3 num_items + 1)", 3 * num_items + 1, num_users)
    codes = _shuffled(num_items, rng)
    early, late = 3 * (num_items - np.arange(num_items)), np.arange(num_items) + 1
    counts = early + late
    ranks = np.repeat(np.arange(num_items), counts)
    # each item goes to the next users around a circle, so that everybody gets something and nobody an item twice
    users = rng.permutation(num_users)[np.arange(len(ranks)) % num_users]
    is_late = np.arange(len(ranks)) - np.repeat(np.cumsum(counts) - counts, counts) >= early[ranks]
    days = np.where(is_late, 90 + 7 * rng.random(len(ranks)), 90 * rng.random(len(ranks)))
    days[np.flatnonzero(is_late)[0]] = 97.0  # the window of 7 days ends with the newest event
    dataset = _dataset(users, codes[ranks], (days * _DAY).astype(np.int64), num_users, num_items)
    seen = np.zeros((num_users + 1, num_items), dtype=bool)
    seen[users, ranks] = True
    best = np.arange(num_items)[::-1] if recent else np.arange(num_items)
    rows = [codes[best[~seen[u][best]]][:answers] for u in range(num_users + 1)]
    asked = np.append(_codes(num_users), np.int32(UNKNOWN))
    has = np.asarray([len(row) > 0 for row in rows])
    return World(
        "popular",
        dataset,
        asked[has],
        Histories.of([row for row in rows if len(row)]),
        f"the {answers} items taken most {'in the last 7 days' if recent else 'over all time'} that the user has not seen",
    )


def repeats(
    num_users: int = 40,
    num_items: int = 20,
    staples: int = 3,
    rounds: int = 4,
    *,
    noise: float = 0.0,
    generator: np.random.Generator | int = 0,
) -> World:
    """Each user has a block of `staples` items and goes through it `rounds` times in one order: a b c a b c a b c.

    The answer is the own block, so seen items must be allowed; every item is in equally many blocks as far as the numbers divide, so
    popularity cannot know. With probability `noise` a step leads to a random item instead.
    """
    rng = np.random.default_rng(generator)
    _at_most("repeats staples", staples, num_items)
    codes = _shuffled(num_items, rng)
    blocks = codes[(np.arange(num_users)[:, None] * staples + np.arange(staples)) % num_items]
    items = np.tile(blocks, rounds)
    items = np.where(rng.random(items.shape) < noise, rng.choice(codes, items.shape), items)
    length = staples * rounds
    return World(
        "repeats",
        _dataset(
            np.repeat(np.arange(num_users), length),
            items.ravel(),
            np.tile(np.arange(length), num_users) * _HOUR,
            num_users,
            num_items,
        ),
        _codes(num_users),
        Histories.of(list(blocks)),
        "the few items that the user takes again and again",
        include_seen=True,
    )


def planted_bias(
    num_users: int = 60,
    num_items: int = 40,
    density: float = 0.5,
    *,
    factor: float = 0.0,
    noise: float = 0.0,
    answers: int = 3,
    generator: np.random.Generator | int = 0,
) -> RatedWorld:
    """Ratings mean + user bias + item bias + `factor` × (±1 of the user) × (±1 of the item) + `noise` × a normal deviate.

    The mean is 3.5, biases have a standard deviation of 0.6 and a mean of 0. Each user rates a random `density` of the items. The answer
    is the `answers` unrated items with the highest expected rating; `rmse` judges predicted ratings, where the mean alone errs by 0.85.
    """
    rng = np.random.default_rng(generator)
    rated = round(density * num_items)
    _at_most("planted_bias rated items + answers", rated + answers, num_items)
    user_bias, item_bias = (_padded(_standard(rng.normal(size=n)) * 0.6) for n in (num_users, num_items))
    user_sign, item_sign = (_padded(np.where(np.arange(n) % 2, 1.0, -1.0)[rng.permutation(n)]) for n in (num_users, num_items))
    expected = 3.5 + user_bias[:, None] + item_bias[None, :] + factor * user_sign[:, None] * item_sign[None, :]
    order = np.argsort(rng.random((num_users, num_items)), axis=1)
    users, items = np.repeat(np.arange(num_users), rated), (order[:, :rated] + FIRST).ravel().astype(np.int32)
    values = expected[users + FIRST, items] + noise * rng.normal(size=len(users))
    unrated = np.sort(order[:, rated:], axis=1) + FIRST
    best = np.argsort(-np.take_along_axis(expected[FIRST:], unrated, axis=1), axis=1, kind="stable")[:, :answers]
    return RatedWorld(
        "planted_bias",
        _dataset(users, items, rng.permutation(len(users)) * _HOUR, num_users, num_items, values),
        _codes(num_users),
        Histories.of(list(np.take_along_axis(unrated, best, axis=1))),
        f"the {answers} unrated items with the highest expected rating",
        mean=3.5,
        user_bias=user_bias,
        item_bias=item_bias,
        expected=expected,
    )


def events(
    path: Path | str,
    num_events: int,
    num_users: int,
    num_items: int,
    *,
    seed: int = 0,
    days: int = 365,
    repeated: float = 0.01,
    chunk: int = 1_000_000,
) -> Path:
    """Writes a big, realistic event table as Parquet, a row group a chunk, and returns its path. Memory is that of one chunk.

    Columns: `user_id` int64, `item_id` text ("sku-0000042"), `timestamp` int64 (epoch seconds, ascending as in a log), `kind` text (view
    90 %, cart 7 %, purchase 3 %). Item popularity is Zipf with exponent 1, user activity lognormal (sigma 1.2); the share `repeated`
    of rows is an exact copy of the row before. The same arguments give the same file content.
    """
    setup, *streams = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(1 + -(-num_events // chunk)))
    by_item = np.cumsum(1.0 / setup.permutation(np.arange(1, num_items + 1)))
    by_user = np.cumsum(setup.lognormal(0.0, 1.2, num_users))
    names = pa.array([f"sku-{number:07d}" for number in range(num_items)])
    kinds = pa.array(["view", "cart", "purchase"])
    first, written, path = _START // 1_000_000, 0, Path(path)
    writer = None
    try:
        for rng in streams:
            count = min(chunk, num_events - written)
            user, item = (np.searchsorted(p, rng.random(count) * p[-1], side="right") for p in (by_user, by_item))
            moment = np.sort(rng.random(count)) * count + written
            timestamp = first + (moment * (days * 86_400 / num_events)).astype(np.int64)
            kind = np.searchsorted([0.90, 0.97], rng.random(count), side="right")
            copied = np.flatnonzero(rng.random(count) < repeated)
            copied = copied[copied > 0]
            for column in (user, item, timestamp, kind):
                column[copied] = column[copied - 1]
            table = pa.table(
                {
                    "user_id": user.astype(np.int64),
                    "item_id": names.take(item),
                    "timestamp": timestamp,
                    "kind": kinds.take(kind),
                }
            )
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            written += count
    finally:
        if writer is not None:
            writer.close()
    return path


def _dataset(
    users: np.ndarray, items: np.ndarray, times: np.ndarray, num_users: int, num_items: int, values: np.ndarray | None = None
) -> Dataset:
    """A dataset of user numbers (from 0), item codes and µs since the start; `values` are ratings."""
    order = np.lexsort((times, users))
    count = len(order)
    interactions = Interactions(
        user=(users[order] + FIRST).astype(np.int32),
        item=items[order].astype(np.int32),
        time=(_START + times[order]).astype(np.int64),
        value=np.ones(count, np.float32) if values is None else values[order].astype(np.float32),
        kind=np.zeros(count, np.int8),
        side=np.full(count, -1, np.int8),
        kinds=("event",) if values is None else ("rating",),
    )
    return Dataset(Vocabulary(_names("user", num_users)), Vocabulary(_names("item", num_items)), interactions)


def _names(word: str, count: int) -> Sequence[str]:
    return [f"{word} {number}" for number in range(count)]


def _codes(count: int) -> np.ndarray:
    return np.arange(FIRST, FIRST + count, dtype=np.int32)


def _shuffled(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(_codes(count))


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def _padded(values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(FIRST), values])


def _at_most(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise ConfigError(f"{what} = {found}", expected=f"at most {limit}", hint="make the world larger")
