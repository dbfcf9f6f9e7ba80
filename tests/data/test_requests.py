"""Requests made of events know what came before and ask for what came after."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.data.interactions import Interactions
from tastemaker.data.requests import Requests, RequestsConfig, at_cuts, at_events

NUM_USERS = 6
Rows = list[tuple[int, int, int]]


def interactions(rows: Rows) -> Interactions:
    user, item, time = (np.array(column) for column in zip(*sorted(rows, key=lambda row: (row[0], row[2])), strict=True))
    zeros = np.zeros(len(rows), np.int8)
    return Interactions(
        user.astype(np.int32), item.astype(np.int32), time.astype(np.int64), np.ones(len(rows), np.float32), zeros, zeros - 1
    )


def whole(requests: Requests, data: Interactions) -> None:
    """History and truth are all that the user did before, and from then on."""
    for row in range(len(requests)):
        mine = data.take(data.user == requests.users[row])
        before = mine.item[mine.time < requests.at[row]]
        assert requests.histories.row(row).tolist() == before.tolist()
        assert (
            requests.histories.times[requests.histories.offsets[row] : requests.histories.offsets[row + 1]].max(initial=-1)
            < requests.at[row]
        )
        assert requests.truth.row(row).tolist() == mine.item[mine.time >= requests.at[row]].tolist()
        assert len(requests.truth.row(row))


many = st.lists(st.tuples(st.integers(2, NUM_USERS - 1), st.integers(2, 9), st.integers(1, 30)), min_size=2, max_size=40)


@given(many, st.integers(1, 5))
def test_at_cuts_all_are_asked_at_the_same_moments(rows: Rows, count: int) -> None:
    data = interactions(rows)
    asked = data.take(data.time > np.median(data.time)) if (data.time > np.median(data.time)).any() else data
    found = at_cuts(data, asked, NUM_USERS, RequestsConfig.parse({"moments": count}))
    assert 1 <= len(np.unique(found.at)) <= count
    whole(found, data)
    for cut in np.unique(found.at):
        assert set(found.users[found.at == cut].tolist()) == set(asked.user[asked.time >= cut].tolist())


@given(many, st.integers(1, 4), st.integers(0, 3))
def test_at_events_a_request_comes_just_before_an_event(rows: Rows, count: int, seed: int) -> None:
    data = interactions(rows)
    late = data.time >= np.median(data.time)
    found = at_events(data, late, NUM_USERS, RequestsConfig.parse({"moments": count}), seed)
    whole(found, data)
    assert np.bincount(found.users, minlength=1).max(initial=0) <= count
    for row in range(len(found)):  # at an event that is asked about, and never between two of one moment
        assert found.at[row] in data.time[(data.user == found.users[row]) & late]


def test_the_horizon_ends_what_came_of_it() -> None:
    data = interactions([(2, item, item) for item in range(2, 10)])
    found = at_cuts(data, data, NUM_USERS, RequestsConfig.parse({"moments": 1, "horizon": 3}))
    assert found.truth.row(0).tolist() == [2, 3, 4]


def test_some_requests_are_taken_by_place_or_mask() -> None:
    data = interactions([(2, 2, 1), (3, 3, 2), (4, 4, 3)])
    found = at_cuts(data, data, NUM_USERS, RequestsConfig.parse({"moments": 1}))
    assert found.take(np.array([2, 0])).users.tolist() == [4, 2]
    assert found.take(found.users == 3).truth.row(0).tolist() == [3]
