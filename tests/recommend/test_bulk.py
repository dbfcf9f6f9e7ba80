from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.recommend.worlds import Grid, recommender

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.errors import DataError
from tastemaker.recommend.bulk import write_all
from tastemaker.recommend.recommender import Recommender


def test_the_file_holds_a_list_for_every_user(tmp_path):
    ours, calls = recommender("item_knn"), []
    rows = write_all(ours, tmp_path / "new" / "all.parquet", 3, chunk=25, progress=lambda *call: calls.append(call))
    table = pq.read_table(tmp_path / "new" / "all.parquet")
    assert table.column_names == ["user_id", "item_id", "rank", "score"]
    assert rows == table.num_rows == 3 * 61
    assert calls == [(25, 61), (50, 61), (61, 61)]
    lists = table.to_pylist()
    expected = [
        {"user_id": user, "item_id": found.item, "rank": found.rank, "score": found.score}
        for user in ours.users.ids.to_pylist()
        for found in ours.recommend(user, 3)
    ]
    assert lists == expected
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["all.parquet"]


def test_memory_does_not_grow_with_the_number_of_users(tmp_path):
    def peak(num_users: int) -> int:
        rng = np.random.default_rng(0)
        offsets = np.concatenate([[0, 0], np.arange(num_users + 1) * 3])
        events = 3 * num_users
        histories = Histories(
            rng.integers(2, 40, events).astype(np.int32), np.zeros(events, np.int64), np.ones(events, np.float32), offsets
        )
        ours = Recommender(Grid(40, num_users + 2), Vocabulary(np.arange(num_users)), Vocabulary(range(38)), histories)
        tracemalloc.start()
        write_all(ours, tmp_path / f"{num_users}.parquet", 5, chunk=500)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(500)
    assert peak(20_000) < 1.5 * peak(1_000)


def test_a_path_that_cannot_be_written_is_a_typed_error_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file"):
        write_all(recommender("item_knn"), tmp_path / "file" / "all.parquet")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError):
        write_all(recommender("item_knn"), tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
