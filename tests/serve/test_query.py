"""Queries of addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.serve import query
from tastemaker.serve.problems import Refused, problem
from tastemaker.wire.control import PopularQuery, RecommendQuery

read = query.reader(RecommendQuery)


def test_texts_become_what_the_struct_says() -> None:
    asked = read(
        b"limit=20&exclude_seen=false&diversity=0.5&include=score,reasons&filter=price+%3C+3&exclude_item_ids=a,%C3%A9"
    )
    assert (asked.limit, asked.exclude_seen, asked.diversity, asked.filter) == (20, False, 0.5, "price < 3")
    assert (asked.include, asked.exclude_item_ids) == (["score", "reasons"], ["a", "é"])
    assert read(b"") == RecommendQuery()


@pytest.mark.parametrize(
    "asked",
    [
        b"limit=0", b"limit=1001", b"limit=ten", b"limit=", b"limt=5", b"limit=1&limit=2", b"diversity=nan", b"deadline_ms=inf",
        b"include=everything", b"filter=%ff", b"filter=%00", b"filter=\xff", b"&".join([b"a=1"] * 100),
    ],
)  # fmt: skip
def test_a_query_of_another_shape_is_refused(asked: bytes) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        read(asked)
    assert problem(caught.value)[0].status == 422


@given(st.binary(max_size=60))
def test_no_query_breaks_the_reader(asked: bytes) -> None:
    statuses = set()
    for reader in (read, query.reader(PopularQuery)):
        try:
            reader(asked)
        except Exception as error:
            statuses.add(problem(error)[0].status)
    assert statuses <= {422}


def test_a_route_without_parameters_takes_none() -> None:
    query.none(b"")
    with pytest.raises(Refused):
        query.none(b"limit=3")
