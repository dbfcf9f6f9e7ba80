"""Reviews lie with their interactions: through filters, merging, core, splits, files and imports."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.data.config import DataConfig
from tastemaker.data.dataset import Dataset
from tastemaker.data.load import import_to, load
from tastemaker.data.splits import SplitConfig, split
from tastemaker.errors import DataError


def _events(users: int = 12, items: int = 9, **more: list) -> pa.Table:
    draw = np.random.default_rng(0)
    pairs = [(u, i) for u in range(users) for i in range(items) if draw.random() < 0.6]
    draw.shuffle(pairs)
    columns = {
        "user_id": [f"u{u}" for u, _ in pairs],
        "item_id": [f"i{i}" for _, i in pairs],
        "rating": [float(1 + (u + i) % 5) for u, i in pairs],
        "time": list(range(len(pairs))),
        "review": [f"u{u} writes of i{i}" for u, i in pairs],
    }
    return pa.table(columns | more)


def _told(dataset: Dataset, rows=None) -> list[str]:
    """What each row's review should say."""
    rows = dataset.interactions if rows is None else rows
    return [f"{u} writes of {i}" for u, i in zip(dataset.users.decode(rows.user), dataset.items.decode(rows.item), strict=True)]


def test_a_review_stays_with_its_row_through_core_and_split():
    dataset = load(_events(), review="review", min_per_item=6, keep_last=4)
    assert 0 < len(dataset.interactions) < _events().num_rows
    assert dataset.interactions.review.to_pylist() == _told(dataset)
    parts = split(dataset, SplitConfig(kind="by_share"))
    for side in (parts.train, parts.validation, parts.test, parts.refit):
        assert len(side)
        assert side.review.to_pylist() == _told(dataset, side)


def test_rows_are_taken_by_mask_and_by_place_alike():
    rows = load(_events(), review="review").interactions
    mask = np.arange(len(rows)) % 3 == 1
    assert rows.take(mask).review.equals(rows.take(np.flatnonzero(mask)).review)


def test_there_are_no_reviews_unless_their_column_is_named():
    assert load(_events()).interactions.review is None


def test_reviews_are_cleaned_and_a_missing_one_is_empty():
    events = _events(2, 2)
    texts = ["<b>Great</b> &amp;  cheap &#34;pick&#34;", None, ""][: events.num_rows]
    texts += ["plain"] * (events.num_rows - len(texts))
    events = events.set_column(4, "review", pa.array(texts))
    found = sorted(load(events, review="review").interactions.review.to_pylist())
    assert found == sorted([{None: "", texts[0]: 'Great & cheap "pick"'}.get(text, text) for text in texts])


def test_merged_duplicates_keep_the_first_review():
    events = pa.table(
        {
            "user_id": ["a", "a", "b", "b"],
            "item_id": ["x", "x", "x", "y"],
            "time": [5, 5, 6, 7],
            "rating": [1.0, 4.0, 2.0, 3.0],
            "review": ["first", "second", "b of x", "b of y"],
        }
    )
    rows = load(events, review="review").interactions
    assert rows.review.to_pylist() == ["first", "b of x", "b of y"]
    assert rows.value.tolist() == [4.0, 2.0, 3.0]


def test_a_saved_dataset_holds_them_and_its_fingerprint_tells(tmp_path):
    dataset = load(_events(), review="review")
    again = Dataset.load(dataset.save(tmp_path / "with"))
    assert again.interactions.review.to_pylist() == dataset.interactions.review.to_pylist()
    assert again.fingerprint == dataset.fingerprint != load(_events()).fingerprint
    assert Dataset.load(load(_events()).save(tmp_path / "without")).interactions.review is None


def test_an_import_brings_them_along(tmp_path):
    _events().to_pandas().to_csv(tmp_path / "events.csv", index=False)
    config = DataConfig.parse({"events": str(tmp_path / "events.csv"), "columns": {"review": "review"}})
    import_to(tmp_path / "made", config)
    dataset = load(str(tmp_path / "made"), review="review")
    assert dataset.fingerprint == load(str(tmp_path / "events.csv"), review="review").fingerprint


@pytest.mark.parametrize(
    ("events", "named"),
    [
        (_events(3, 3), "the review column 'missing'"),
        (pa.table({"user_id": ["a", "b"], "item_id": [["x", "y"], ["y"]], "missing": ["s", "t"]}), "one item a row"),
        (pa.table({"user_id": ["a", "b"], "item_id": ["x", "y"], "missing": [1, 2]}), "expected text"),
    ],
)
def test_what_cannot_be_a_review_is_refused(events, named):
    with pytest.raises(DataError, match=named):
        load(events, review="missing")
