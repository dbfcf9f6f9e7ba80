from __future__ import annotations

import pyarrow as pa
import torch

from tastemaker.data.features.config import FeaturesConfig
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.schema import RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.wide_deep import WideDeep


def crossed() -> tuple[RowSchema, Rows]:
    table = pa.table({"a": ["x", "y", "x", "y"], "b": ["p", "p", "q", "q"]})
    encoder = FeatureEncoder.fit(table, FeaturesConfig.parse({"crosses": [["a", "b"]]}))
    return RowSchema(encoder.schema), Rows.of(encoder.encode(table))


def test_crosses_have_weights_in_the_wide_part_and_no_vectors_in_the_deep() -> None:
    schema, rows = crossed()
    assert [field.parts for field in schema.fields] == [(), (), ("a", "b")]
    ranker = WideDeep(WideDeep.Config(), schema)
    assert ranker.vectors.num_fields == 2
    assert ranker.wide.vectors.num_fields == 3
    before = ranker(rows)
    with torch.no_grad():
        place = int(ranker.wide.vectors.starts[2]) + int(rows.codes[1, 2])
        ranker.wide.vectors.table.weight[place] += 2.0
    torch.testing.assert_close(ranker(rows) - before, torch.tensor([[0.0], [2.0], [0.0], [0.0]]))


def test_logits_are_the_sum_of_both_parts(two_labels: RowSchema, rows: Rows) -> None:
    torch.manual_seed(0)
    ranker = WideDeep(WideDeep.Config(hidden=(5,), init=1.0), two_labels)
    with torch.no_grad():
        ranker.wide.vectors.table.weight.normal_()
    deep = torch.relu(ranker.deep[0](ranker.vectors(rows).flatten(1)))
    torch.testing.assert_close(ranker(rows), ranker.wide(rows) + ranker.deep[-1](deep))
