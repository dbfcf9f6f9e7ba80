from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given as over
from hypothesis import settings as profile
from hypothesis import strategies as st

from tastemaker.data import splits, synthetic
from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Interactions
from tastemaker.data.splits import (
    BETWEEN,
    DROPPED,
    TEST,
    TEST_FOLD_IN,
    TRAIN,
    VALIDATION,
    VALIDATION_FOLD_IN,
    Split,
    SplitConfig,
    split,
    tie_sensitive,
)
from tastemaker.data.vocabulary import FIRST, UNKNOWN, Vocabulary
from tastemaker.errors import ConfigError, DataError

SECOND = 1_000_000


def rows(user, time, item=None, side=None) -> Interactions:
    """Interactions of columns that are already in order."""
    count = len(user)
    return Interactions(
        user=np.asarray(user, np.int32),
        item=np.arange(FIRST, FIRST + count, dtype=np.int32) if item is None else np.asarray(item, np.int32),
        time=np.asarray(time, np.int64),
        value=np.ones(count, np.float32),
        kind=np.zeros(count, np.int8),
        side=np.full(count, -1, np.int8) if side is None else np.asarray(side, np.int8),
    )


def dataset(interactions: Interactions) -> Dataset:
    users = Vocabulary([f"u{n}" for n in range(int(interactions.user.max()) + 1 - FIRST)])
    items = Vocabulary([f"i{n}" for n in range(int(interactions.item.max()) + 1 - FIRST)])
    return Dataset(users, items, interactions)


@st.composite
def tables(draw, timed: bool = True) -> Interactions:
    """Random interactions with ties and repeats, in order."""
    size = draw(st.integers(12, 60))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    user = rng.integers(FIRST, FIRST + draw(st.integers(1, 12)), size)
    time = rng.integers(1, draw(st.integers(3, 200)), size) * SECOND if timed else np.zeros(size, np.int64)
    order = np.lexsort((time, user))
    return rows(user[order], time[order], item=rng.integers(FIRST, FIRST + 9, size)[order])


PROTOCOLS = {
    "leave_last": lambda t, s: splits.leave_last(t),
    "by_time": lambda t, s: splits.by_time(t, test_share=0.3),
    "by_time first": lambda t, s: splits.by_time(t, test_share=0.3, target="first"),
    "by_time last": lambda t, s: splits.by_time(t, test_share=0.3, target="last"),
    "by_time carved last": lambda t, s: splits.by_time(t, test_share=0.3, carve="last"),
    "by_share": lambda t, s: splits.by_share(t, generator=np.random.default_rng(s), test_share=0.3),
    "by_share per user": lambda t, s: splits.by_share(t, generator=np.random.default_rng(s), test_share=0.3, per_user=True),
    "by_user": lambda t, s: splits.by_user(t, generator=np.random.default_rng(s), test_share=0.3),
    "by_user random": lambda t, s: splits.by_user(
        t, generator=np.random.default_rng(s), test_share=0.3, fold_in_order="random"
    ),
    "cold_items": lambda t, s: splits.cold_items(t, generator=np.random.default_rng(s), test_share=0.2),
    "cold_items alone": lambda t, s: splits.cold_items(t, generator=np.random.default_rng(s), test_share=0.2, warm_share=0),
    "cold_items latest": lambda t, s: splits.cold_items(
        t, generator=np.random.default_rng(s), test_share=0.2, warm_share=0.3, warm_rows="latest"
    ),
}
SIDES = {"validation": VALIDATION, "test": TEST}


def attempt(protocol: str, table: Interactions, seed: int = 0) -> Split | None:
    """The split, or None where the table is too small for it, which the protocol must say in its own words."""
    try:
        return PROTOCOLS[protocol](table, seed)
    except DataError as error:
        if not error.hint:
            raise
        return None


@pytest.mark.parametrize("protocol", PROTOCOLS)
@over(table=tables(), seed=st.integers(0, 50))
@profile(max_examples=40, deadline=None)
def test_labels_partition_the_rows_and_nothing_asked_is_known(protocol, table, seed):
    result = attempt(protocol, table, seed)
    if result is None:
        return
    label = result.label
    assert label.dtype == np.int8
    assert label.shape == (len(table),)
    assert np.isin(label, [DROPPED, TRAIN, VALIDATION, TEST, VALIDATION_FOLD_IN, TEST_FOLD_IN, BETWEEN]).all()
    assert len(result.train) + len(result.validation) + len(result.test) + (label < 0).sum() + (label > 2).sum() == len(table)
    assert len(result.train) > 0
    assert len(result.test) > 0
    marked = Split(rows(table.user, table.time, item=np.arange(len(table))), label, result.kind)  # the item is the row number
    for side, code in SIDES.items():
        known = marked.before(side).item
        assert not np.isin(known, np.flatnonzero(label == code)).any()
        assert not np.isin(known, np.flatnonzero(label == DROPPED)).any()
        assert np.isin(np.flatnonzero(label == TRAIN), known).all()
    assert not np.isin(np.flatnonzero(label == TEST), marked.before("validation").item).any()
    assert np.isin(marked.before("validation").item, marked.before("test").item).sum() >= (label == TRAIN).sum()
    assert not np.isin(marked.refit.item, np.flatnonzero((label == TEST) | (label == TEST_FOLD_IN))).any()


@pytest.mark.parametrize("protocol", ["by_time", "by_time first", "by_time carved last"])
@over(table=tables())
@profile(max_examples=60, deadline=None)
def test_by_time_never_knows_the_future(protocol, table):
    result = attempt(protocol, table)
    if result is None:
        return
    assert (result.before("test").time < result.cut).all()
    assert (result.test.time >= result.cut).all()
    assert (table.time[result.label == DROPPED] >= result.cut).all()
    assert (result.refit.time < result.cut).all()
    if protocol != "by_time carved last" and len(result.validation):
        assert result.before("validation").time.max() < result.validation.time.min()
    if protocol == "by_time first":
        for side, answers in (("test", result.test), ("validation", result.validation)):
            assert len(np.unique(answers.user)) == len(answers)
            rest = table.take(np.isin(result.label, [BETWEEN] if side == "validation" else [DROPPED]))
            first = dict(zip(answers.user, answers.time, strict=True))
            assert all(time >= first[user] for user, time in zip(rest.user, rest.time, strict=True))


@pytest.mark.parametrize("protocol", ["cold_items", "cold_items alone", "cold_items latest"])
@over(table=tables(), seed=st.integers(0, 50))
@profile(max_examples=60, deadline=None)
def test_withheld_items_are_never_learned_from(protocol, table, seed):
    result = attempt(protocol, table, seed)
    if result is None:
        return
    distinct = len(np.unique(table.item))
    withheld = np.setdiff1d(table.item, result.refit.item)  # not even once settings are chosen
    assert len(withheld) >= max(1, distinct * 2 // 10)
    assert not np.isin(result.train.item, withheld).any()
    assert not np.isin(result.before("test").item, withheld).any()
    chosen_by = np.setdiff1d(result.validation.item, result.train.item)
    if protocol == "cold_items alone":
        assert set(np.unique(result.test.item)) == set(withheld)
        assert set(np.unique(result.validation.item)) == set(chosen_by)
        assert len(withheld) == max(1, distinct * 2 // 10)
        assert (result.label != DROPPED).all()
    if protocol == "cold_items latest":
        assert (result.before("test").time < result.cut).all()
        assert (result.test.time >= result.cut).all()
        if len(result.validation):
            assert result.before("validation").time.max() < result.validation.time.min()


@pytest.mark.parametrize("warm_rows", ["random", "latest"])
def test_few_shots_of_withheld_items_are_learned_from(warm_rows):
    users, items = np.repeat(np.arange(2, 42), 20), np.tile(np.arange(2, 22), 40)
    time = np.random.default_rng(0).permutation(len(users)) + 1
    order = np.lexsort((time, users))
    table = rows(users[order], time[order] * SECOND, item=items[order])
    plain, few = (
        splits.cold_items(table, generator=np.random.default_rng(0), warm_share=0.2, warm_rows=warm_rows, shots=shots)
        for shots in (0, 3)
    )
    withheld = np.setdiff1d(table.item, plain.train.item)
    assert len(withheld) == 4
    assert [int((few.train.item == item).sum()) for item in withheld] == [3] * 4
    moved = few.label != plain.label
    assert moved.sum() == 12
    assert (few.label[moved] == TRAIN).all()
    if warm_rows == "latest":
        assert few.before("test").time.max() < few.cut


def test_warm_rows_are_asked_beside_cold_items():
    table = rows(np.repeat(np.arange(2, 22), 20), np.tile(np.arange(1, 21), 20), item=np.tile(np.arange(2, 22), 20))
    result = splits.cold_items(table, generator=np.random.default_rng(0), warm_share=0.25)
    cold = ~np.isin(result.test.item, result.refit.item)
    assert cold.sum() == 2 * 20  # two of twenty items, whoever took them
    assert (~cold).sum() == (16 * 20) // 4 == len(result.validation) - 2 * 20
    assert split(dataset(table), SplitConfig(kind="cold_items", seed=3)).label.tolist() != result.label.tolist()
    with pytest.raises(ConfigError, match="no effect"):
        SplitConfig.parse({"kind": "cold_items", "warm_share": 0, "warm_rows": "latest"}, "split")
    with pytest.raises(DataError, match="without times"):
        splits.cold_items(rows(table.user, 0 * table.time), generator=np.random.default_rng(0), warm_rows="latest")


@over(table=tables())
@profile(max_examples=60, deadline=None)
def test_leave_last_asks_for_the_newest_row_of_each_user(table):
    result = attempt("leave_last", table)
    if result is None:
        assert np.bincount(table.user).max() < 3
        return
    for user in np.unique(table.user):
        labels = result.label[table.user == user]
        if len(labels) < 3:
            assert (labels == TRAIN).all()
        else:
            assert labels[-1] == TEST
            assert labels[-2] == VALIDATION
            assert (labels[:-2] == TRAIN).all()


@pytest.mark.parametrize("protocol", ["by_user", "by_user random"])
@over(table=tables(), seed=st.integers(0, 50))
@profile(max_examples=60, deadline=None)
def test_by_user_holds_users_out_whole_and_folds_a_part_of_each_in(protocol, table, seed):
    result = attempt(protocol, table, seed)
    if result is None:
        return
    for answer, fold_in in ((TEST, TEST_FOLD_IN), (VALIDATION, VALIDATION_FOLD_IN)):
        held = np.unique(table.user[result.label == answer])
        assert not np.isin(result.train.user, held).any()
        for user in held:
            labels = result.label[table.user == user]
            assert set(labels) == {answer, fold_in}
            assert (labels == fold_in).sum() == min(max(int(len(labels) * 0.8 + 0.5), 1), len(labels) - 1)
            if protocol == "by_user":
                assert (np.diff((labels == answer).astype(int)) >= 0).all()
    questions = result.questions("test", 40)
    assert (questions.asked_as == UNKNOWN).all()
    assert (questions.histories.lengths > 0).all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@over(table=tables())
@profile(max_examples=30, deadline=None)
def test_questions_pair_each_asked_user_with_what_is_known_and_what_is_right(protocol, table):
    result = attempt(protocol, table)
    if result is None:
        return
    for side, code in SIDES.items():
        questions = result.questions(side, 40)
        assert questions.users.dtype == np.int32
        assert np.array_equal(questions.users, np.unique(table.user[result.label == code]))
        known = result.before(side)
        for row, user in enumerate(questions.users):
            assert np.array_equal(questions.truth.row(row), table.item[(table.user == user) & (result.label == code)])
            assert np.array_equal(questions.histories.row(row), known.item[known.user == user])
            assert questions.trained[row] == (result.train.user == user).any()


def many() -> Interactions:
    rng = np.random.default_rng(11)
    user, time = rng.integers(FIRST, 100, 2_000), rng.integers(1, 10**6, 2_000) * SECOND
    order = np.lexsort((time, user))
    return rows(user[order], time[order])


@pytest.mark.parametrize("kind", ["by_share", "by_user"])
def test_same_seed_same_split_and_another_seed_another(kind):
    data = dataset(many())
    one, same, other = (split(data, SplitConfig(kind=kind, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.label, same.label)
    assert not np.array_equal(one.label, other.label)


def test_shares_are_kept():
    table = many()
    result = splits.by_share(table, generator=np.random.default_rng(0), test_share=0.2, validation_share=0.1)
    assert (len(result.test), len(result.validation)) == (400, 200)
    result = splits.by_time(table, test_share=0.2, validation_share=0.25)
    assert (len(result.test), len(result.validation)) == (400, 400)
    result = splits.by_user(table, generator=np.random.default_rng(0), test_share=0.2, validation_share=0.1)
    assert (len(np.unique(result.test.user)), len(np.unique(result.validation.user))) == (19, 9)
    result = splits.by_share(table, generator=np.random.default_rng(0), test_share=0.2, validation_share=0.1, per_user=True)
    size = np.bincount(table.user, minlength=100)
    assert np.array_equal(np.bincount(result.test.user, minlength=100), np.floor(size * 0.2 + 1e-9))
    assert np.array_equal(np.bincount(result.validation.user, minlength=100), np.floor(size * 0.1 + 1e-9))


def test_small_users_give_a_row_to_each_side_while_a_training_row_remains():
    table = rows([2, 3, 3, 4, 4, 4], [1] * 6)
    label = splits.by_share(table, generator=np.random.default_rng(0), per_user=True).label
    assert label[0] == TRAIN
    assert sorted(label[1:3]) == [TRAIN, TEST]
    assert sorted(label[3:]) == [TRAIN, VALIDATION, TEST]


def test_leave_last_worked_by_hand():
    label = splits.leave_last(rows([2, 2, 2, 2, 3, 3, 4, 4, 4], np.zeros(9))).label
    assert label.tolist() == [TRAIN, TRAIN, VALIDATION, TEST, TRAIN, TRAIN, TRAIN, VALIDATION, TEST]


def test_by_time_first_worked_by_hand():
    #              user 2: before, between, after   user 3: late    user 4: early only
    table = rows([2, 2, 2, 2, 2, 2, 3, 3, 4], np.array([1, 2, 60, 61, 100, 101, 102, 103, 3]) * SECOND)
    at = datetime(1970, 1, 1, 0, 1, 40)
    result = splits.by_time(table, at=at, target="first", validation_share=0.4)
    assert result.cut == 100 * SECOND
    assert result.label.tolist() == [TRAIN, TRAIN, VALIDATION, BETWEEN, TEST, DROPPED, TEST, DROPPED, TRAIN]
    assert result.questions("test", 5).histories.lengths.tolist() == [4, 0]
    assert result.questions("test", 5).asked_as.tolist() == [2, UNKNOWN]
    last = splits.by_time(table, at=at.replace(tzinfo=UTC), carve="last")
    assert last.label.tolist() == [TRAIN, TRAIN, TRAIN, VALIDATION, TEST, TEST, TEST, TEST, TRAIN]
    assert splits.by_time(table, at=at, validation_share=0).label.tolist() == [0, 0, 0, 0, 2, 2, 2, 2, 0]


def test_by_time_last_knows_what_the_user_did_up_to_the_question_but_never_learns_from_it():
    table = rows([2, 2, 2, 2, 2, 2, 3, 3, 4], np.array([1, 2, 60, 61, 100, 101, 102, 103, 3]) * SECOND)
    at = datetime(1970, 1, 1, 0, 1, 40)
    result = splits.by_time(table, at=at, target="last", carve="last")
    assert result.label.tolist() == [0, 0, 0, VALIDATION, TEST_FOLD_IN, TEST, TEST_FOLD_IN, TEST, TRAIN]
    assert result.questions("test", 5).histories.lengths.tolist() == [5, 1]
    assert result.questions("validation", 5).histories.lengths.tolist() == [3]
    assert result.train.time.max() < result.cut
    timed = splits.by_time(table, at=at, target="last", validation_share=0.4)
    assert timed.label.tolist() == [0, 0, VALIDATION_FOLD_IN, VALIDATION, TEST_FOLD_IN, TEST, TEST_FOLD_IN, TEST, TRAIN]


def test_rows_of_one_time_are_never_cut_apart():
    table = rows([2, 3, 4, 5, 6, 7], np.array([1, 5, 5, 5, 5, 5]) * SECOND)
    assert splits.by_time(table, test_share=0.2, validation_share=0).label.tolist() == [0, 2, 2, 2, 2, 2]


def test_given_sides_are_kept_and_validation_is_carved_only_where_missing():
    user, time = [2, 2, 2, 3, 3, 4], np.arange(6) + 1
    full = rows(user, time, side=[TRAIN, VALIDATION, TEST, TRAIN, TEST, TEST_FOLD_IN])
    generator = np.random.default_rng(0)
    assert np.array_equal(splits.given(full, generator=generator).label, full.side)
    bare = rows(user, time, side=[TRAIN, TRAIN, TEST, TRAIN, TEST, TRAIN])
    assert splits.given(bare, generator=generator, carve="last").label.tolist() == [0, 1, 2, 0, 2, 0]
    carved = splits.given(bare, generator=generator, validation_share=0.5)
    assert len(carved.validation) == 2
    assert np.array_equal(carved.label == TEST, bare.side == TEST)
    assert len(splits.given(bare, generator=generator, validation_share=0).validation) == 0
    assert bare.side.tolist() == [0, 0, 2, 0, 2, 0]  # the input stays as it was


def test_only_the_kinds_of_behaviour_that_test_asks_for_are_carved_and_count_as_seen():
    buy, cart = 0, 1
    table = rows([2, 2, 2, 2, 3, 3, 3], np.arange(7) + 1, [2, 3, 4, 5, 2, 3, 4], side=[0, 0, 0, 2, 0, 0, 0])
    table = replace(table, kind=np.array([buy, buy, cart, buy, buy, buy, cart], np.int8), kinds=("buy", "cart"))
    table = replace(table, kind_weights=(1.0, 0.5))
    last = splits.given(table, generator=np.random.default_rng(0), carve="last")
    assert last.label.tolist() == [0, 1, 0, 2, 0, 1, 0]
    for seed in range(5):
        drawn = splits.given(table, generator=np.random.default_rng(seed), validation_share=0.4)
        assert len(drawn.validation) == 1
        assert drawn.validation.kind.tolist() == [buy]
    questions = last.questions("test", 4)
    assert questions.histories.items.tolist() == [2, 3, 4]
    assert questions.seen.items.tolist() == [2, 3]
    whole = splits.given(replace(table, kind=np.zeros(7, np.int8)), generator=np.random.default_rng(0)).questions("test", 4)
    assert whole.seen is whole.histories


def test_an_empty_side_asks_nothing():
    table = rows([2, 2, 2, 3], [1, 2, 3, 4], side=[0, 0, 2, 0])
    questions = splits.given(table, generator=np.random.default_rng(0), validation_share=0).questions("validation", 4)
    assert len(questions) == len(questions.histories) == len(questions.truth) == 0


def test_ties_that_could_swap_a_test_item_are_counted():
    time = np.array([1, 2, 3, 3, 1, 2, 3, 1, 3, 3, 1, 1, 1]) * SECOND
    user = [2, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    item = [2, 3, 4, 5, 2, 3, 4, 2, 3, 3, 2, 3, 4]
    result = splits.leave_last(rows(user, time, item))
    # user 2: two items at the last moment; user 3: no tie; user 4: a tie of one item with itself; user 5: three at once
    assert tie_sensitive(result) == 2
    assert tie_sensitive(result, "validation") == 2
    assert tie_sensitive(splits.leave_last(rows(user, np.zeros(13), item))) == 0
    assert tie_sensitive(splits.by_time(rows(user, time, item), test_share=0.3, validation_share=0)) == 0
    first = splits.by_time(rows(user, time, item), test_share=0.3, validation_share=0, target="first")
    assert tie_sensitive(first) == 1
    assert tie_sensitive(splits.by_share(rows(user, time, item), generator=np.random.default_rng(0))) == 0


@over(table=tables(), seed=st.integers(0, 100))
@profile(max_examples=60, deadline=None)
def test_another_tie_order_changes_no_more_test_items_than_counted(table, seed):
    result = attempt("leave_last", table)
    if result is None:
        return
    order = np.lexsort((np.random.default_rng(seed).random(len(table)), table.time, table.user))
    moved = splits.leave_last(rows(table.user, table.time, table.item[order]))
    assert (moved.test.item != result.test.item).sum() <= tie_sensitive(result)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "leave_last", "target": "first"}, "only with split.kind = 'by_time'"),
        ({"kind": "by_time", "seed": 1}, "only with split.kind = 'by_share' or 'by_user' or 'cold_items' or 'given'"),
        ({"kind": "by_time", "carve": "random"}, "one of time, last"),
        ({"kind": "by_time", "at": "2024-01-01", "test_share": 0.2}, "no effect beside split.at"),
        ({"kind": "by_time", "carve": "last", "validation_share": 0.2}, 'no effect with split.carve = "last"'),
        ({"kind": "given", "validation": "v.csv", "seed": 1}, "no effect beside a file"),
        ({"kind": "by_share", "test_shar": 0.2}, "did you mean 'test_share'"),
        ({"kind": "by_moon"}, "split.kind"),
        ({"kind": ["by_time"]}, "split.kind"),
        ({"kind": "by_share", "test_share": 1.5}, "split.test_share"),
        ({"kind": "by_time", "at": "soon"}, "split.at"),
    ],
)
def test_settings_without_effect_or_sense_are_errors_that_name_their_place(values, words):
    with pytest.raises(ConfigError) as caught:
        SplitConfig.parse(values, "split")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "by_time", "at": datetime(2024, 5, 1), "carve": "last"},
        {"kind": "by_time", "target": "first"},
        {"kind": "by_share", "per_user": True},
        {"kind": "by_user"},
        {"kind": "given", "train": "a.csv", "test": "b.csv"},
        {"kind": "given", "train": "a.csv", "test": "b.csv", "validation": "c.csv"},
        {"kind": "given", "train": {"buy": "a.csv", "view": "b.csv"}, "test": {"buy": "c.csv"}},
    ],
)
def test_a_resolved_config_holds_what_has_effect_and_reads_back_equal(values):
    config = SplitConfig.parse(values, "split")
    assert SplitConfig.parse(config.model_dump(exclude_none=True), "split") == config
    assert SplitConfig.model_validate(config.model_dump(mode="json")) == config


def test_defaults_of_a_kind_are_visible():
    config = SplitConfig(kind="by_time")
    assert (config.test_share, config.target, config.carve, config.validation_share, config.seed) == (
        0.1,
        "all",
        "time",
        0.1,
        None,
    )


def test_data_that_cannot_be_split_so_is_refused_with_a_way_out():
    timeless = dataset(rows([2, 2, 2, 3], np.zeros(4)))
    with pytest.raises(DataError, match=r"data\.columns"):
        split(timeless, SplitConfig(kind="by_time"))
    with pytest.raises(DataError, match="no user with 3"):
        split(dataset(rows([2, 2, 3], np.ones(3))), SplitConfig(kind="leave_last"))
    with pytest.raises(DataError, match=r"split\.train and split\.test"):
        split(timeless, SplitConfig(kind="given"))
    with pytest.raises(DataError, match="no test row"):
        split(dataset(rows([2, 3], np.ones(2))), SplitConfig(kind="by_user"))
    with pytest.raises(DataError, match="no training row"):
        split(dataset(rows([2, 3], np.ones(2) * SECOND)), SplitConfig(kind="by_time", at=datetime(1970, 1, 1)))
    with pytest.raises(ConfigError, match="sum below 1"):
        split(timeless, SplitConfig(kind="by_share", test_share=0.6, validation_share=0.5))


@pytest.mark.parametrize("kind", ["leave_last", "by_time", "by_share", "by_user"])
def test_a_world_can_be_split_by_every_kind(kind):
    world = synthetic.chain()
    result = split(world.dataset, SplitConfig(kind=kind))
    assert result.kind == kind
    assert len(result.questions("test", world.dataset.users.size)) > 0


def test_a_million_rows_are_split_in_a_moment():
    import time

    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(FIRST, 50_000, 1_000_000))
    table = rows(user, rng.integers(1, 10**12, 1_000_000), item=rng.integers(FIRST, 1_000, 1_000_000))
    start = time.process_time()
    for protocol in PROTOCOLS:
        PROTOCOLS[protocol](table, 0).questions("test", 50_000)
    assert time.process_time() - start < 8
