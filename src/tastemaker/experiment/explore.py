"""Explore: data and a split looked at without training anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from tastemaker.data.config import DataConfig
from tastemaker.data.dataset import Dataset
from tastemaker.data.load import ImportReport, load_dataset
from tastemaker.data.quality import QualityReport, describe
from tastemaker.data.splits import SplitConfig, split
from tastemaker.errors import ConfigError, DataError
from tastemaker.experiment.any_config import read_any
from tastemaker.experiment.leaks import Leak, leaks
from tastemaker.experiment.rank_config import RankConfig
from tastemaker.experiment.ranking import Encoded, encoded
from tastemaker.resolve import ranker_names
from tastemaker.settings import expand, override, read_toml, to_toml


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


def names_ranker(source: str) -> bool:
    """Whether the source is a config of a ranker."""
    if not source.endswith(".toml"):
        return False
    model = read_toml(source).get("model")
    return isinstance(model, Mapping) and model.get("name") in ranker_names()


@dataclass(frozen=True, eq=False)
class RowsExplored:
    """What labelled rows are taken for."""

    data: Encoded
    leaks: list[Leak]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "rows": {name: len(side) for name, side in self.data.rows.sides.items()},
            "outputs": list(self.data.rows.outputs),
            "fields": [vars(field) for field in self.data.encoder.schema],
            "features": self.data.encoder.config.model_dump(mode="json", exclude_none=True),
            "leaks": [vars(leak) for leak in self.leaks],
        }

    def print(self, console: Console) -> None:
        """Tables for people, and the section to edit."""
        rows, encoder = self.data.rows, self.data.encoder
        for name, side in rows.sides.items():
            shares = (
                ""
                if self.data.classes or not len(side)
                else "; positive: "
                + ", ".join(
                    f"{output} {share:.1%}" for output, share in zip(rows.outputs, np.nanmean(side.labels, axis=0), strict=True)
                )
            )
            console.print(f"{name}: {len(side):,} rows{shares}")
        console.print(encoder.described())
        for note in encoder.notes:
            console.print(note, markup=False)
        for leak in self.leaks:
            console.print(f"leak: {leak}", markup=False)
        console.print("\nas a section to edit:\n", markup=False)
        console.print(to_toml({"features": encoder.config.model_dump(mode="json", exclude_defaults=True)}), markup=False)


def explore_rows(source: str, overrides: Iterable[str] = ()) -> RowsExplored:
    """What each column of a ranker's rows is taken for, and which fields tell a label by themselves; nothing is trained.

    Raises:
        ConfigError: a setting is unknown or does not fit.
        DataError: the rows cannot be read or split as asked.
    """
    config = read_any(source, overrides)
    assert isinstance(config, RankConfig)
    data = encoded(config)
    found = (
        [] if data.classes else leaks(data.encoder.schema, data.features["train"], data.rows.train.labels, data.rows.outputs)
    )
    return RowsExplored(data, found)
