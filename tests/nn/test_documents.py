"""Documents: which reviews are read for whom, and that what is to be predicted is not among them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import torch

from tastemaker.data.interactions import Interactions
from tastemaker.nn.documents import Documents

ROWS = [(2, 2, "good good pick"), (2, 4, "bad"), (3, 2, "good cable"), (3, 3, ""), (4, 2, "bad pick"), (4, 2, "good at last")]


def rows_of(told: list[tuple[int, int, str]] | None = None, value: list[float] | None = None) -> Interactions:
    told = ROWS if told is None else told
    size = len(told)
    return Interactions(
        np.array([u for u, _, _ in told], np.int32),
        np.array([i for _, i, _ in told], np.int32),
        np.arange(size, dtype=np.int64),
        np.array(value or [4.0] * size, np.float32),
        np.zeros(size, np.int8),
        np.full(size, -1, np.int8),
        review=pa.array([text for _, _, text in told], pa.large_string()),
    )


def documents(**settings: int) -> Documents:
    made = Documents(6, 6, **({"vocabulary": 50, "max_words": 50, "max_reviews": 50} | settings))
    made.observe(rows_of())
    return made


def read(made: Documents, side: str, owner: int, apart: int | None = None) -> list[list[int]]:
    """The pairs whose reviews are in a document."""
    places, offsets = made.of(side, torch.tensor([owner]), None if apart is None else torch.tensor([apart]))
    assert offsets.tolist() == [0, len(places)]
    return [[int(made.user[place]), int(made.item[place])] for place in places]


def test_a_document_holds_what_a_user_wrote_or_what_was_written_about_an_item() -> None:
    made = documents()
    assert read(made, "user", 2) == [[2, 2], [2, 4]]
    assert read(made, "item", 2) == [[2, 2], [3, 2], [4, 2], [4, 2]]
    assert read(made, "user", 5) == []
    assert read(made, "item", 3) == []  # a review without words is none


def test_what_stands_between_the_two_is_left_out_of_both_documents() -> None:
    made = documents()
    assert read(made, "user", 4, apart=2) == []
    assert read(made, "item", 2, apart=4) == [[2, 2], [3, 2]]
    assert read(made, "user", 2, apart=3) == [[2, 2], [2, 4]]


def test_several_documents_lie_one_after_the_other() -> None:
    made = documents()
    places, offsets = made.of("item", torch.tensor([2, 3, 4, 2]), torch.tensor([2, 2, 2, 3]))
    assert offsets.tolist() == [0, 3, 3, 3, 6]
    assert made.user[places].tolist() == [3, 4, 4, 2, 4, 4]
    every, bounds = made.of("user")
    assert bounds.tolist() == [0, 0, 0, 2, 3, 5, 5]
    assert made.user[every].tolist() == [2, 2, 3, 4, 4]


def test_words_are_coded_by_frequency_and_read_back_review_by_review() -> None:
    made = documents(vocabulary=3, max_words=2)  # good 4, bad 2, pick 2; bad before pick
    words, bounds = made.text(torch.tensor([3, 0]))
    assert bounds.tolist() == [0, 2, 4]
    assert words.tolist() == [2, 3, 1, 1]


def test_only_the_newest_reviews_of_a_document_are_read() -> None:
    made = documents(max_reviews=2)
    assert read(made, "item", 2) == [[4, 2], [4, 2]]
    assert read(made, "user", 2) == [[2, 2], [2, 4]]


def test_rows_without_reviews_leave_empty_documents() -> None:
    made = Documents(6, 6, vocabulary=5, max_words=5, max_reviews=5)
    from dataclasses import replace

    made.observe(replace(rows_of(), review=None))
    assert len(made) == 0
    assert read(made, "user", 2) == []
    assert made.text(torch.zeros(0, dtype=torch.int64))[1].tolist() == [0]


def test_a_saved_state_loads_into_fresh_documents() -> None:
    made, fresh = documents(), Documents(6, 6, vocabulary=50, max_words=50, max_reviews=50)
    fresh.load_state_dict(made.state_dict())
    assert read(fresh, "item", 2, apart=4) == read(made, "item", 2, apart=4)
