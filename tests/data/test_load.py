"""Loading: the shipped sample, given files, catalogues, import and the account of it all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tastemaker.data.catalogue import item_name_column
from tastemaker.data.config import DataConfig
from tastemaker.data.load import import_to, load, load_dataset, sample_path
from tastemaker.data.splits import TEST, TEST_FOLD_IN, TRAIN, VALIDATION
from tastemaker.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def sample():
    return load_dataset(DataConfig(events=str(sample_path()), duplicates="keep"))


def test_the_sample_holds_the_shop(sample):
    dataset, report = sample
    assert (len(dataset.users), len(dataset.items), len(dataset.interactions)) == (4_334, 3_659, 386_326)
    assert (report.rows, report.accepted, report.rejects) == (386_326, 386_326, [])
    assert dataset.catalogue.column_names == ["description", "price"]
    assert item_name_column(dataset.catalogue) == "description"
    assert dataset.profiles.column_names == ["country"]
    assert (
        dataset.catalogue["description"][dataset.items.encode(["85123A"])[0] - 2].as_py()
        == "WHITE HANGING HEART T-LIGHT HOLDER"
    )
    assert sum(path.stat().st_size for path in sample_path().iterdir()) < 2_500_000


def test_the_sample_keeps_its_credit_line():
    assert "doi:10.24432/C5BW33" in (sample_path() / "LICENSE.md").read_text()


def test_interactions_are_sorted_and_vocabularies_in_id_order(sample):
    dataset, _ = sample
    rows = dataset.interactions
    order = np.lexsort([rows.time, rows.user])
    assert (order == np.arange(len(rows))).all()
    assert dataset.items.ids.to_pylist() == sorted(dataset.items.ids.to_pylist(), key=str.encode)
    assert dataset.users.ids.to_pylist() == sorted(dataset.users.ids.to_pylist())
    assert rows.user.dtype == np.int32
    assert rows.value.dtype == np.float32
    assert rows.kind.dtype == np.int8
    assert (rows.side == -1).all()
