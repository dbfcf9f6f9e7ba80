"""Scored files: rows in, the same rows with probabilities out."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tastemaker.data.catalogue import read_table
from tastemaker.data.io import Sources
from tastemaker.errors import ArtifactError
from tastemaker.recommend.predictor import Predictor


def score_file(predictor: Predictor, source: str, out: Path | None = None) -> tuple[pa.Table, list[str]]:
    """The rows of a source with a column of probabilities for each output, and the names of those columns; written to `out` if given.

    The columns are named p(LABEL), so that a label which the source has keeps its own.

    Raises:
        DataError: the source cannot be read, or lacks a column.
        ArtifactError: the file cannot be written.
    """
    with Sources() as sources:
        table = read_table(sources, source, "rows")
    found = predictor.predict(table)
    names = [f"p({name})" for name in found.column_names]
    for name, column in zip(names, found.columns, strict=True):
        table = table.append_column(name, column)
    if out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, out)
        except OSError as error:
            raise ArtifactError(f"{error.strerror or error}", expected=f"to write {str(out)!r}") from None
    return table, names
