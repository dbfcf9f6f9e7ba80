"""Given negatives: the items that a user's test items are ranked among where a published protocol names them.

Ranking among a few items instead of the catalogue reorders models (Krichene & Rendle 2020, "On Sampled Metrics for Item
Recommendation"), so this is for comparison with figures that were made so and for nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tastemaker.data.config import DataConfig
from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Histories
from tastemaker.data.io import Scan, Sources, reading
from tastemaker.data.meaning import detect, named_column
from tastemaker.data.splits import TEST, Split
from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.engine.base import Engine
from tastemaker.engine.local import LocalEngine
from tastemaker.errors import DataError


def with_negatives(
    split: Split, dataset: Dataset, source: str, config: DataConfig, base: Path = Path(), engine: Engine | None = None
) -> Split:
    """The split with the negatives of a source, whose test items are then ranked among those alone.

    A row of the source is a user and a list of items; the user column is the one that `config` names or the usual one, the list column
    is the only list there is. Several rows of a user are taken together, an item counts once, and rows of users who are not in the
    data play no part.

    Raises:
        DataError: the source cannot be read or has no such columns, names an item that is not in the data, or has nothing for a user
            on the test side.
    """
    users, items = [], []
    with Sources(engine or LocalEngine(config.memory_gb, config.threads), base) as opened:
        for scan in opened.open(source, "negatives"):
            user, negatives = _columns(scan, config)
            with reading(scan.name):
                rows = scan.read([user, negatives])[0].to_pyarrow().combine_chunks()
            lists = rows[negatives].combine_chunks()
            parents = pc.list_parent_indices(lists)
            users.append(dataset.users.encode(rows[user].combine_chunks())[parents.to_numpy(zero_copy_only=False)])
            items.append(_known(pc.list_flatten(lists), dataset, scan))
    codes = np.concatenate(users).astype(np.int64) * dataset.items.size + np.concatenate(items)
    codes = np.unique(codes[np.concatenate(users) != UNKNOWN])
    offsets = np.searchsorted(codes, np.arange(dataset.users.size + 1, dtype=np.int64) * dataset.items.size)
    chosen = (codes % dataset.items.size).astype(np.int32)
    found = Histories(chosen, np.zeros(len(chosen), np.int64), np.ones(len(chosen), np.float32), offsets.astype(np.int64))
    asked = np.unique(split.interactions.user[split.label == TEST])
    if len(bare := asked[found.lengths[asked] == 0]):
        raise DataError(
            f"no negatives for {len(bare):,} of {len(asked):,} test users, such as {dataset.users.decode(bare[:1])[0]!r}, in {source}",
            expected="a list for each user on the test side",
            hint="are these the negatives of that test file?",
        )
    return replace(split, negatives=found)


def _columns(scan: Scan, config: DataConfig) -> tuple[str, str]:
    wish = config.columns.user
    user = wish if wish and wish in scan.columns else detect("user", scan.columns)
    lists = [name for name, kind in scan.columns.items() if kind.is_array() and name != user]
    if user is None:
        user = named_column("user", wish or "user_id", scan)
    if len(lists) != 1:
        raise DataError(
            f"columns {', '.join(scan.columns)} in {scan.name}, {len(lists)} of them lists",
            expected="a user column and one list column: the user's negatives",
        )
    return user, lists[0]


def _known(ids: pa.Array, dataset: Dataset, scan: Scan) -> np.ndarray:
    codes = dataset.items.encode(ids)
    if (unknown := codes == UNKNOWN).any():
        raise DataError(
            f"{int(unknown.sum()):,} negatives in {scan.name} that are not in the data, such as {ids[int(unknown.argmax())].as_py()!r}",
            expected="items of the data",
            hint="a filter such as data.min_per_item may have left them out",
        )
    return codes
