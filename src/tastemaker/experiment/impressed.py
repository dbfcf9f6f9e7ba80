"""Impressions of a store written as rows: what `tastemaker train` needs to train a ranker on what was shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tastemaker.data.features.moments import Moments, MomentsConfig
from tastemaker.data.impressions import Impressions, Known
from tastemaker.errors import ArtifactError, ConfigError, DataError
from tastemaker.recommend import artifact
from tastemaker.store.base import open_store


def write_impressions(
    store: str,
    to: Path,
    *,
    after: int = 0,
    horizon_hours: float | None = None,
    kinds: Sequence[str] = (),
    moments: MomentsConfig | None = None,
    like: Path | None = None,
) -> dict[str, Any]:
    """Writes a Parquet file with a row for each item that was shown, and returns what is in it.

    Args:
        store: the store's URL.
        to: the file.
        after: a sequence, as an earlier call said it: only later answers.
        horizon_hours: what happens later than so long after an answer did not come of it; None: all does.
        kinds: kinds of event that become labels; none: all that there are.
        moments: what rows are made of; None: the defaults.
        like: an artifact of two stages whose rows are to be made; its columns keep their meaning.

    Raises:
        StoreError: the store cannot be opened.
        ArtifactError: `like` is no artifact of two stages, or the file cannot be written.
        ConfigError: both `moments` and `like`.
        DataError: nothing was shown since.
    """
    if moments is not None and like is not None:
        raise ConfigError("moments of their own and those of an artifact", expected="one of them")
    with open_store(store, migrate=False) as opened:
        shown = Impressions.of(opened, after=after, horizon_hours=horizon_hours)
        if not len(shown):
            raise DataError(
                "no answers", expected="answers that were recorded", hint="only POST /v1/recommendations is recorded"
            )
        made, known = _moments(like, moments, shown, opened)
    table = shown.table(made, known)
    labels = {f"label.{kind}": float(values.mean()) for kind, values in shown.labels.items()}
    if missing := [kind for kind in kinds if f"label.{kind}" not in labels]:
        raise DataError(
            f"no event of kind {missing[0]!r} points at an answer",
            expected=f"one of {', '.join(shown.labels) or 'none'}",
            hint="events say so by recommendation_id",
        )
    if kinds:
        dropped = [name for name in labels if name.removeprefix("label.") not in kinds]
        table, labels = table.drop_columns(dropped), {name: labels[name] for name in labels if name not in dropped}
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, to, compression="zstd")
    except OSError as error:
        raise ArtifactError(f"{error.strerror or error}", expected=f"to write {str(to)!r}") from None
    return {
        "out": str(to),
        "rows": len(shown),
        "answers": len(shown.answers),
        "labels": {name: round(share, 6) for name, share in labels.items()},
        "columns": table.column_names,
        "after": shown.last,
    }


def _moments(like: Path | None, config: MomentsConfig | None, shown: Impressions, store: Any) -> tuple[Moments, Known]:
    if like is None:
        known = Known.of(store, shown.items.unique().to_pylist())
        return known.moments(config or MomentsConfig.parse({}), shown.sources), known
    recommender = artifact.load(like)
    if recommender.stages is None or recommender.stages.predictor is None:
        raise ArtifactError(f"{str(like)!r} is of one stage", expected="an artifact of two stages: sources and a ranker")
    first = dict.fromkeys([*map(str, recommender.items.ids.to_pylist()), *shown.items.unique().to_pylist()])
    known = Known.of(store, first)
    stages = recommender.stages
    assert stages.predictor is not None
    return known.over(stages.moments, stages.as_of, stages.predictor.encoder), known
