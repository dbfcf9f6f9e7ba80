"""Explore: data and a split looked at without training anything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tastemaker.data.config import DataConfig
from tastemaker.data.dataset import Dataset
from tastemaker.data.load import ImportReport, load_dataset
from tastemaker.data.quality import QualityReport, describe
from tastemaker.data.splits import SplitConfig, split
from tastemaker.errors import ConfigError, DataError
from tastemaker.settings import expand, override, read_toml


def explore(source: str, overrides: Iterable[str] = ()) -> tuple[ImportReport, QualityReport]:
    """What is in a source and what is wrong with it, under the split that is asked for, else the default one.

    Args:
        source: a folder, a file, `URL#table`, or a config, whose `[data]` and `[split]` are taken.
        overrides: settings of these two sections, such as "split.kind=by_time".

    Raises:
        ConfigError: a setting is unknown or does not fit.
        DataError: the source cannot be read, or cannot be split as asked.
    """
    overrides, base = list(overrides), Path()
    tree = {"data": {"events": source}}
    if source.endswith(".toml"):
        tree, base = read_toml(source), Path(source).resolve().parent
    tree = expand(override(tree, overrides))
    asked = bool(tree.get("split"))
    splitting = SplitConfig.parse(tree.get("split", {}), "split")
    given = {side: path for side in ("train", "validation", "test") if (path := getattr(splitting, side)) is not None}
    dataset, imported = load_dataset(DataConfig.parse(tree.get("data", {}), "data"), base, given or None)
    return imported, _described(dataset, splitting, asked)


def _described(dataset: Dataset, config: SplitConfig, asked: bool) -> QualityReport:
    try:
        return describe(dataset, split(dataset, config))
    except (DataError, ConfigError):
        if asked:
            raise
        return describe(dataset)  # nobody asked for a split: data that the default one does not suit is described without
