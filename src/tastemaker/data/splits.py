"""Splits: which interactions train, which choose, which judge - and what may be known when each side is asked.

| kind       | test side                                       | validation side                                        |
|------------|-------------------------------------------------|--------------------------------------------------------|
| leave_last | the newest row of each user                     | the newest but one                                     |
| by_time    | from one moment on: all rows, or a user's first | the time just before it, or a user's last training row |
| by_share   | random rows                                     | random rows                                            |
| by_user    | the later rows of held-out users                | the later rows of other held-out users                 |
| cold_items | all rows of withheld items, and some others     | all rows of other withheld items, and some others      |
| given      | as the files say                                | as the files say, else carved from train               |

Only `by_time`, and `cold_items` with a moment, keep the future out of training; others train on what other users did later than the
moment a question is asked. Rows are in the order of `Interactions`, so timestamp ties stand in the order of the source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.errors import ConfigError, DataError
from tastemaker.settings import Settings

Side = Literal["validation", "test"]
Kind = Literal["leave_last", "by_time", "by_share", "by_user", "cold_items", "given"]

DROPPED, TRAIN, VALIDATION, TEST, VALIDATION_FOLD_IN, TEST_FOLD_IN, BETWEEN = -1, 0, 1, 2, 3, 4, 5
"""Labels of rows. Fold-in rows are history of users held out whole: known when their side is asked, never trained on. BETWEEN rows
lie after validation began and before test: known when test is asked, asked about by nobody. `Interactions.side` uses the same labels."""

_KNOWN = {
    "validation": (TRAIN, VALIDATION_FOLD_IN),
    "test": (TRAIN, VALIDATION, VALIDATION_FOLD_IN, TEST_FOLD_IN, BETWEEN),
}
_ASKED = {"validation": VALIDATION, "test": TEST}


@dataclass(frozen=True, eq=False)
class Questions:
    """What the evaluation of a side asks: a row per user with at least one row on that side, in ascending code order."""

    users: np.ndarray
    """int32 (asked,): user codes"""
    histories: Histories
    """what is known of each, a row per asked user, oldest first; may be empty"""
    truth: Histories
    """what each did on that side, a row per asked user, never empty"""
    trained: np.ndarray
    """bool (asked,): whether the user has a training row"""
    seen: Histories
    """the part of `histories` that is of a kind of behaviour asked for: what a list may leave out as seen"""
    among: Histories | None = None
    """the items that each user's list is chosen from where negatives are given, truth included, ascending; None: the catalogue"""

    def __len__(self) -> int:
        return len(self.users)

    @property
    def together(self) -> bool:
        """Whether all are asked at one moment: what is known lies before everything that is asked for."""
        first = self.truth.times.min(initial=np.iinfo(np.int64).max)
        return bool(self.histories.times.max(initial=np.iinfo(np.int64).min) < first)

    @property
    def asked_at(self) -> np.ndarray:
        """int64 (asked,): µs. Who is asked `together` asks at the first moment that is asked for; else each asks just before the own truth."""
        if self.together or not len(self):
            return np.full(len(self), self.truth.times.min(initial=np.iinfo(np.int64).max))
        return self.truth.times[self.truth.offsets[:-1]]

    @property
    def asked_as(self) -> np.ndarray:
        """int32 (asked,): the codes to put in a query: UNKNOWN for users without a training row, whose code no model has fitted."""
        return np.where(self.trained, self.users, np.int32(UNKNOWN)).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Split:
    """A label for each row of `interactions`."""

    interactions: Interactions
    label: np.ndarray
    """int8 (rows,): one of the constants above"""
    kind: str
    cut: int | None = None
    """first moment of the test side, µs since 1970 UTC, where a moment decides"""
    ordered: bool = False
    """whether the order of a user's own rows decided labels, so that timestamp ties matter"""
    negatives: Histories | None = None
    """a row for each user code: the items that test items are ranked among (see `negatives`); None: the catalogue"""

    @property
    def train(self) -> Interactions:
        """What models learn from while settings are chosen."""
        return self.interactions.take(self.label == TRAIN)

    @property
    def validation(self) -> Interactions:
        """What settings are chosen by; may be empty."""
        return self.interactions.take(self.label == VALIDATION)

    @property
    def test(self) -> Interactions:
        """What judges."""
        return self.interactions.take(self.label == TEST)

    @property
    def refit(self) -> Interactions:
        """What a last training may use once settings are chosen: train, validation and all between, never a held-out test user."""
        return self.interactions.take((self.label != DROPPED) & (self.label != TEST) & (self.label != TEST_FOLD_IN))

    def before(self, side: Side) -> Interactions:
        """What may be known when `side` is asked: for test this includes validation; never anything of the side itself or later."""
        return self.interactions.take(self.known(side))

    def known(self, side: Side) -> np.ndarray:
        """The rows of `before(side)` as a mask: bool (rows,)."""
        return np.isin(self.label, _KNOWN[side])

    def questions(self, side: Side, num_users: int) -> Questions:
        """Who is asked on a side, with what history, and what is right; `num_users` is `users.size`. Empty if the side is."""
        asked = self.interactions.take(self.label == _ASKED[side])
        users = np.unique(asked.user)
        learned = np.zeros(num_users, dtype=bool)
        learned[self.interactions.user[self.label == TRAIN]] = True
        known, truth = self.before(side), asked.histories(num_users).take(users)
        histories = known.histories(num_users).take(users)
        alike = np.isin(known.kind, np.unique(asked.kind))
        seen = histories if alike.all() else known.take(alike).histories(num_users).take(users)
        among = _united(self.negatives.take(users), truth) if side == "test" and self.negatives is not None else None
        return Questions(users, histories, truth, learned[users], seen, among)


def tie_sensitive(split: Split, side: Side = "test") -> int:
    """How many items of a side another order of rows with equal timestamps would change, at most.

    Counts, over groups of rows with one user and one time that stand on both sides of the border, the smaller part. 0 where order
    decides nothing (random and given splits) and where the data has no times, so that the order of the source is all there is.
    """
    rows = split.interactions
    if not (split.ordered and rows.has_times):
        return 0
    starts = np.flatnonzero(_changes(rows.user) | _changes(rows.time))
    sizes = np.diff(np.append(starts, len(rows)))
    inside = np.add.reduceat((split.label == _ASKED[side]).astype(np.int64), starts)
    differ = np.minimum.reduceat(rows.item, starts) != np.maximum.reduceat(rows.item, starts)
    return int(np.minimum(inside, sizes - inside)[differ].sum())


class SplitConfig(Settings):
    """The `[split]` section. A setting that the kind does not use is an error; those it uses are filled with their defaults."""

    kind: Kind = "leave_last"
    """the protocol"""
    test_share: float | None = Field(None, gt=0, lt=1)
    """by_time, by_share: of the rows; by_user: of the users with two rows or more; cold_items: of the items; default 0.1"""
    validation_share: float | None = Field(None, ge=0, lt=1)
    """by_time: of the rows before the cut; by_share: of all rows; by_user: of the users; cold_items: of the items; given: of the training rows;
    default 0.1"""
    at: datetime | None = None
    """by_time: the first moment of test, instead of `test_share`; UTC where it names no zone"""
    warm_share: float | None = Field(None, ge=0, lt=1)
    """cold_items: share of the rows of the other items that each side asks for too, so that warm items are judged beside cold ones;
    default 0.1"""
    warm_rows: Literal["random", "latest"] | None = None
    """cold_items: which rows these are, random ones (default) or all from one moment on; earlier rows of withheld items are then dropped, so that
    nobody is asked about the past"""
    target: Literal["all", "first", "last"] | None = None
    """by_time: ask for all that a user did after the cut (default), for the first only, later rows being dropped, or for the last only, what
    the user did before it being known"""
    carve: Literal["time", "last", "random"] | None = None
    """how train gives up validation rows; by_time: "time" (default: a second cut) or "last"; given: "random" (default) or "last" """
    per_user: bool | None = None
    """by_share: draw the shares within each user; default false"""
    fold_in_share: float | None = Field(None, gt=0, lt=1)
    """by_user: share of a held-out user's rows that is known when the user asks; default 0.8"""
    fold_in_order: Literal["oldest", "random"] | None = None
    """by_user: which rows these are; default "oldest" """
    train: str | dict[str, str] | None = None
    """given: the file of training rows, or a file for each kind of behaviour: {buy = "buys.csv", cart = "carts.csv"}"""
    validation: str | dict[str, str] | None = None
    """given: the file of validation rows, or one a kind; without it some are carved from train, of the kinds that test has"""
    test: str | dict[str, str] | None = None
    """given: the file of test rows, or one a kind: {buy = "test.csv"} asks for purchases, whatever else users did"""
    negatives: str | None = None
    """given: a file with a list of items for each test user; their test items are ranked among these alone, as some papers do, and
    figures compare with those papers' only. Validation still ranks the catalogue"""
    shots: int | None = Field(None, ge=0)
    """cold_items: rows of each withheld item that are learned from after all, so that few-shot items are asked for; default 0"""
    seed: int | None = Field(None, ge=0)
    """by_share, by_user, cold_items, given: seed of the random draw; default 0"""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = {key: value for key, value in values.items() if value is not None}
        kind = values.setdefault("kind", "leave_last")
        if kind not in list(_DEFAULTS):
            return values
        usable, idle = _DEFAULTS[kind], dict[str, str]()
        if "at" in values:
            idle |= {"test_share": "has no effect beside split.at"}
        if kind == "cold_items" and values.get("warm_share") == 0:
            idle |= {"warm_rows": "has no effect with split.warm_share = 0"}
        if values.get("carve") == "last":
            idle |= dict.fromkeys(("validation_share", "seed"), 'has no effect with split.carve = "last"')
        if "validation" in values:
            idle |= dict.fromkeys(("carve", "validation_share", "seed"), "has no effect beside a file in split.validation")
        for key in values:
            if key in usable and key in idle:
                raise ConfigError(f"split.{key} = {values[key]!r}, which {idle[key]}", hint=f"remove split.{key}")
            if key in cls.model_fields and key not in usable and key != "kind":
                owners = " or ".join(repr(name) for name, options in _DEFAULTS.items() if key in options)
                raise ConfigError(
                    f"split.{key} = {values[key]!r} with split.kind = {kind!r}",
                    expected=f"split.{key} only with split.kind = {owners}",
                    hint=f"remove split.{key} or change split.kind",
                )
        ways = {"by_time": ("time", "last"), "given": ("random", "last")}.get(kind, ())
        if "carve" in values and values["carve"] not in ways:
            raise ConfigError(
                f"split.carve = {values['carve']!r} with split.kind = {kind!r}",
                expected=f"split.carve one of {', '.join(ways)}",
            )
        return {key: default for key, default in usable.items() if default is not None and key not in idle} | values


_DEFAULTS: dict[str, dict[str, Any]] = {
    "leave_last": {},
    "by_time": {
        "test_share": 0.1,
        "at": None,
        "target": "all",
        "carve": "time",
        "validation_share": 0.1,
    },
    "by_share": {"test_share": 0.1, "validation_share": 0.1, "per_user": False, "seed": 0},
    "by_user": {"test_share": 0.1, "validation_share": 0.1, "fold_in_share": 0.8, "fold_in_order": "oldest", "seed": 0},
    "cold_items": {
        "test_share": 0.1,
        "validation_share": 0.1,
        "warm_share": 0.1,
        "warm_rows": "random",
        "shots": 0,
        "seed": 0,
    },
    "given": {
        "train": None,
        "validation": None,
        "test": None,
        "negatives": None,
        "carve": "random",
        "validation_share": 0.1,
        "seed": 0,
    },
}


def split(dataset: Dataset, config: SplitConfig) -> Split:
    """Labels the dataset's interactions as `config` says.

    Raises:
        DataError: the data cannot be split so (no times, no user with enough rows, an empty train or test side); the hint says how.
    """
    options = config.model_dump(exclude_none=True, exclude={"kind", "seed", "train", "validation", "test", "negatives"})
    if config.kind in ("by_share", "by_user", "cold_items", "given"):
        options["generator"] = np.random.default_rng(config.seed or 0)
    return _PROTOCOLS[config.kind](dataset.interactions, **options)


def leave_last(interactions: Interactions) -> Split:
    """The newest row of each user is test, the newest but one validation; users with fewer than 3 rows stay wholly in train."""
    label = np.zeros(len(interactions), dtype=np.int8)
    _, ends = _groups(interactions.user)
    ends = ends[np.diff(ends, prepend=0) >= 3]
    label[ends - 1], label[ends - 2] = TEST, VALIDATION
    if not len(ends):
        raise DataError(
            f"no user with 3 interactions among {len(interactions):,} rows",
            expected="users with 3 interactions or more",
            hint='set split.kind = "by_share"',
        )
    return _checked(Split(interactions, label, "leave_last", ordered=True))


def by_time(
    interactions: Interactions,
    *,
    test_share: float = 0.1,
    at: datetime | None = None,
    target: Literal["all", "first", "last"] = "all",
    carve: Literal["time", "last"] = "time",
    validation_share: float = 0.1,
) -> Split:
    """One moment for all users: what came before may be known, what came at or after it is asked.

    The moment is `at`, or the quantile that leaves about `test_share` of the rows at or after it (rows of one time stay together).
    With `target` "first" each user is asked for the first item from that moment on, and the rows after it are dropped; with "last" for
    the last one, with what they did up to it known but never trained on, as a service in use would have it. `carve`
    "time" makes validation in the same way by a second moment, `validation_share` of the earlier rows before the first; "last" takes
    the last earlier row of each user who has two. Users of whom nothing is known before are asked too.

    Source: Gusak et al. 2025, Time to Split.
    """
    if not interactions.has_times:
        raise DataError(
            "interactions without times",
            expected="times, for split.kind = 'by_time'",
            hint='name the time column in data.columns, or set split.kind = "leave_last" or "by_share"',
        )
    time = interactions.time
    cut = _moment(time, test_share) if at is None else _microseconds(at)
    earlier = time < cut
    label = np.where(earlier, TRAIN, TEST).astype(np.int8)
    if carve == "last":
        _carve_last(interactions.user, label)
    elif validation_share and earlier.any():
        label[earlier & (time >= _moment(time[earlier], validation_share))] = VALIDATION
    if target == "last":
        _keep_last(interactions.user, label, TEST, TEST_FOLD_IN)
        if carve == "time":
            _keep_last(interactions.user, label, VALIDATION, VALIDATION_FOLD_IN)
    elif target == "first":
        _keep_first(interactions.user, label, TEST, DROPPED)
        if carve == "time":
            _keep_first(interactions.user, label, VALIDATION, BETWEEN)
    return _checked(Split(interactions, label, "by_time", cut=cut, ordered=True))


def by_share(
    interactions: Interactions,
    *,
    generator: np.random.Generator,
    test_share: float = 0.1,
    validation_share: float = 0.1,
    per_user: bool = False,
) -> Split:
    """Random rows. With `per_user` the shares hold within each user, rounded down, but at least one where a training row remains."""
    _check_shares(test_share, validation_share)
    if per_user:
        rank, size = _shuffled_rank(interactions.user, generator)
    else:
        rank, size = generator.permutation(len(interactions)), np.full(len(interactions), len(interactions))
    tests, validations = (_part(size, share) for share in (test_share, validation_share))
    tests = np.minimum(tests, size - 1)
    validations = np.minimum(validations, np.maximum(size - 1 - tests, 0))
    label = np.select([rank < tests, rank < tests + validations], [TEST, VALIDATION], TRAIN).astype(np.int8)
    return _checked(Split(interactions, label, "by_share"))


def by_user(
    interactions: Interactions,
    *,
    generator: np.random.Generator,
    test_share: float = 0.1,
    validation_share: float = 0.1,
    fold_in_share: float = 0.8,
    fold_in_order: Literal["oldest", "random"] = "oldest",
) -> Split:
    """Strong generalisation (Liang et al. 2018, Mult-VAE): users held out whole, who bring a part of their rows when they ask.

    The shares are of the users with two rows or more; others stay in train. A held-out user's `fold_in_share` of rows (rounded, at
    least one, never all), the oldest or random ones, is known, the rest is asked.
    """
    _check_shares(test_share, validation_share)
    starts, ends = _groups(interactions.user)
    able = interactions.user[starts[ends - starts >= 2]]
    tests, validations = (_part(np.int64(len(able)), share) for share in (test_share, validation_share))
    drawn = generator.permutation(able)
    side = np.zeros(_size(interactions.user), dtype=np.int8)
    side[drawn[:tests]], side[drawn[tests : tests + validations]] = TEST, VALIDATION
    label = side[interactions.user]
    if fold_in_order == "oldest":
        size = np.repeat(ends - starts, ends - starts)
        rank = np.arange(len(interactions)) - np.repeat(starts, ends - starts)
    else:
        rank, size = _shuffled_rank(interactions.user, generator)
    known = rank < np.clip(np.floor(size * fold_in_share + 0.5), 1, size - 1)
    label[known & (label == TEST)] = TEST_FOLD_IN
    label[known & (label == VALIDATION)] = VALIDATION_FOLD_IN
    return _checked(Split(interactions, label, "by_user", ordered=fold_in_order == "oldest"))


def cold_items(
    interactions: Interactions,
    *,
    generator: np.random.Generator,
    test_share: float = 0.1,
    validation_share: float = 0.1,
    warm_share: float = 0.1,
    warm_rows: Literal["random", "latest"] = "random",
    shots: int = 0,
) -> Split:
    """Items that nobody has touched: a random share of the items is withheld with all their rows (Volkovs, Yu & Poutanen 2017, DropoutNet).

    `test_share` of the items are kept from training and validation, `validation_share` from training. Each side also asks for `warm_share`
    of the rows of the other items. With `warm_rows` "latest" these lie from one moment on; a side then asks for its withheld items from
    its moment on as well, and their earlier rows are dropped. With `shots`, so many random rows of each withheld item (of the earlier ones) are
    learned from after all: few-shot items, which the report finds as `items/few`.

    Without "latest" a user may be asked for a withheld item met long ago: whether content tells whom it suits, not what comes next.
    """
    _check_shares(test_share, validation_share)
    latest = warm_rows == "latest" and warm_share > 0
    if latest and not interactions.has_times:
        raise DataError("interactions without times", expected="times, for split.warm_rows = 'latest'", hint="remove it")
    items = np.unique(interactions.item)
    tests, validations = (_part(np.int64(len(items)), share) for share in (test_share, validation_share))
    drawn = generator.permutation(items)
    side = np.full(int(items.max(initial=0)) + 1, TRAIN, np.int8)
    side[drawn[:tests]], side[drawn[tests : tests + validations]] = TEST, VALIDATION
    of_item = side[interactions.item]
    if latest:
        label, cut = _latest(interactions.time, of_item, warm_share)
    else:
        label, cut = of_item.copy(), None
        others = generator.permutation(np.flatnonzero(of_item == TRAIN))
        asked = int(len(others) * warm_share)
        label[others[:asked]] = TEST
        label[others[asked : 2 * asked if validation_share else asked]] = VALIDATION
    if shots:
        label[
            _shots(
                interactions.item,
                (of_item != TRAIN) & ((label == of_item) if not latest else (label == DROPPED)),
                shots,
                generator,
            )
        ] = TRAIN
    return _checked(Split(interactions, label, "cold_items", cut=cut))


def _shots(item: np.ndarray, among: np.ndarray, shots: int, generator: np.random.Generator) -> np.ndarray:
    """int64: `shots` random rows of each item among some, bool (rows,); fewer where there are no more."""
    rows = generator.permutation(np.flatnonzero(among))
    rows = rows[np.argsort(item[rows], kind="stable")]
    owner = item[rows]
    return rows[np.arange(len(rows)) - np.searchsorted(owner, owner) < shots]  # type: ignore[no-any-return]


def _latest(time: np.ndarray, of_item: np.ndarray, share: float) -> tuple[np.ndarray, int]:
    """Labels by two moments, rows of items withheld until a side begins being dropped before it; and the moment of test."""
    cut = _moment(time, share)
    label = np.where(time < cut, TRAIN, TEST).astype(np.int8)
    if (of_item == VALIDATION).any() and (label == TRAIN).any():
        label[(label == TRAIN) & (time >= _moment(time[label == TRAIN], share))] = VALIDATION
    label[(of_item == TEST) & (label != TEST) | (of_item == VALIDATION) & (label == TRAIN)] = DROPPED
    return label, cut


def given(
    interactions: Interactions,
    *,
    generator: np.random.Generator,
    carve: Literal["random", "last"] = "random",
    validation_share: float = 0.1,
) -> Split:
    """As `Interactions.side` says; where it names no validation rows they are carved from train.

    `carve` "random" takes `validation_share` of the training rows, "last" the last training row of each user who has two; both of the
    kinds of behaviour that test asks for, where files name kinds: what else users did is there to learn from.
    """
    label = interactions.side.astype(np.int8)
    asked = np.isin(interactions.kind, np.unique(interactions.kind[label == TEST]))
    if not (label == TEST).any() or not (label == TRAIN).any():
        raise DataError(
            "interactions that name no train and test side",
            expected="rows of given files, for split.kind = 'given'",
            hint="set split.train and split.test to files, or choose another split.kind",
        )
    if not (label == VALIDATION).any():
        if carve == "last":
            _carve_last(interactions.user, label, asked)
        else:
            rows = np.flatnonzero((label == TRAIN) & asked)
            label[generator.permutation(rows)[: int(len(rows) * validation_share)]] = VALIDATION
    return _checked(Split(interactions, label, "given"))


_PROTOCOLS: dict[str, Callable[..., Split]] = {
    "leave_last": leave_last,
    "by_time": by_time,
    "by_share": by_share,
    "by_user": by_user,
    "cold_items": cold_items,
    "given": given,
}


def _checked(result: Split) -> Split:
    for name, side in (("training", TRAIN), ("test", TEST)):
        if not (result.label == side).any():
            raise DataError(
                f"no {name} row among {len(result.interactions):,} after the split {result.kind!r}",
                expected="rows on the train and on the test side",
                hint="bring more data, or change the shares or the moment in [split]",
            )
    return result


def _united(one: Histories, other: Histories) -> Histories:
    """Each row's items of both, ascending and distinct."""
    width = int(max(one.items.max(initial=0), other.items.max(initial=0))) + 1
    rows = [np.repeat(np.arange(len(part)), part.lengths) * width + part.items for part in (one, other)]
    cells = np.unique(np.concatenate(rows))
    offsets = np.searchsorted(cells, np.arange(len(one) + 1) * width).astype(np.int64)
    return Histories((cells % width).astype(np.int32), np.zeros(len(cells), np.int64), np.ones(len(cells), np.float32), offsets)


def _check_shares(test_share: float, validation_share: float) -> None:
    if test_share + validation_share >= 1:
        raise ConfigError(
            f"split.test_share + split.validation_share = {test_share + validation_share:g}", expected="a sum below 1"
        )


def _changes(values: np.ndarray) -> np.ndarray:
    changes = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes


def _groups(user: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First place and end of each user's rows."""
    starts = np.flatnonzero(_changes(user))
    return starts, np.append(starts[1:], len(user)).astype(np.int64)[: len(starts)]


def _size(user: np.ndarray) -> int:
    return int(user.max(initial=0)) + 1


def _part(size: Any, share: float) -> Any:
    """`share` of `size`, rounded down, but at least one; none for a share of 0."""
    return np.maximum(np.floor(size * share + 1e-9).astype(np.int64), 1 if share else 0)


def _shuffled_rank(user: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Each row's place in a random order of the user's rows, and how many rows the user has. `user` ascends."""
    starts, ends = _groups(user)
    keys = (user.astype(np.int64) << 32) | generator.integers(0, 1 << 32, len(user), dtype=np.int64)
    rank = np.empty(len(user), dtype=np.int64)
    rank[np.argsort(keys, kind="stable")] = np.arange(len(user)) - np.repeat(starts, ends - starts)
    return rank, np.repeat(ends - starts, ends - starts)


def _moment(time: np.ndarray, share: float) -> int:
    """The time from which on about `share` of the rows lie."""
    place = min(int(np.floor(len(time) * (1 - share) + 1e-9)), len(time) - 1)
    return int(np.partition(time, place)[place])


def _microseconds(at: datetime) -> int:
    moment = at if at.tzinfo else at.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _carve_last(user: np.ndarray, label: np.ndarray, among: np.ndarray | bool = True) -> None:
    """Turns the last training row of each user who has two into validation; of those `among`, bool (rows,)."""
    rows = np.flatnonzero((label == TRAIN) & among)
    starts, ends = _groups(user[rows])
    label[rows[ends[ends - starts >= 2] - 1]] = VALIDATION


def _keep_first(user: np.ndarray, label: np.ndarray, side: int, rest: int) -> None:
    """Relabels all rows of a side but each user's first."""
    rows = np.flatnonzero(label == side)
    label[rows[~_changes(user[rows])]] = rest


def _keep_last(user: np.ndarray, label: np.ndarray, side: int, rest: int) -> None:
    """Relabels all rows of a side but each user's last."""
    rows = np.flatnonzero(label == side)
    label[rows[:-1][~_changes(user[rows])[1:]]] = rest
