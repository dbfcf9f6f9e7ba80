"""Scored files: rows in, the same rows with probabilities out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tastemaker.data.catalogue import read_table
from tastemaker.data.io import Sources
from tastemaker.errors import ArtifactError
from tastemaker.recommend.predictor import Predictor


def score_file(
    predictor: Predictor, source: str, out: Path | None = None, objective: str | None = None
) -> tuple[pa.Table, list[str]]:
    """The rows of a source with a column of probabilities for each output, and the names of those columns; written to `out` if given.

    The columns are named p(LABEL), so that a label which the source has keeps its own. With an `objective`, or where the
    predictor has any, the last column is score(OBJECTIVE), which rows are to be ordered by.

    Raises:
        ConfigError: no such objective.
        DataError: the source cannot be read, or lacks a column.
        ArtifactError: the file cannot be written.
    """
    chosen, combined = predictor.objective(objective)
    with Sources() as sources:
        table = read_table(sources, source, "rows")
    found = predictor.predict(table)
    added = {f"p({name})": column for name, column in zip(found.column_names, found.columns, strict=True)}
    if objective is not None or predictor.objectives:
        matrix = np.stack([column.to_numpy() for column in found.columns], axis=1)
        added[f"score({chosen})"] = pa.array(combined.score(matrix, predictor.outputs))
    for name, column in added.items():
        table = table.append_column(name, column)
    if out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, out)
        except OSError as error:
            raise ArtifactError(f"{error.strerror or error}", expected=f"to write {str(out)!r}") from None
    return table, list(added)
