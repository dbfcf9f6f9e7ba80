from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.rows import Rows
from tastemaker.rankers.autoint import AutoInt


def attended(ranker: AutoInt, fields: Tensor) -> Tensor:
    """All layers for one row, (fields, width), by eq. 5 to 8."""
    size, scale = ranker.config.size, ranker.config.size**-0.5 if ranker.config.scaled else 1.0
    for layer in ranker.layers:
        drawn = []
        for head in range(ranker.config.heads):
            of = slice(head * size, (head + 1) * size)
            query, key, value = (fields @ part.weight[of].T for part in (layer.query, layer.key, layer.value))
            rows = []
            for f in range(len(fields)):
                said = torch.stack([scale * query[f] @ key[g] for g in range(len(fields))])
                rows.append(sum(share * value[g] for g, share in enumerate(said.softmax(0))))
            drawn.append(torch.stack(rows))
        fields = torch.relu(torch.cat(drawn, dim=1) + fields @ layer.kept.weight.T)
    return fields


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("size", [3, 8], ids=["long vectors", "short vectors"])
def test_logits_are_those_of_attention_written_out(two_labels: RowSchema, rows: Rows, size: int, scaled: bool) -> None:
    torch.manual_seed(0)
    ranker = AutoInt(AutoInt.Config(dim=5, init=1.0, layers=2, heads=2, size=size, scaled=scaled, deep=False), two_labels)
    vectors = ranker.vectors(rows)
    for row in range(7):
        expected = ranker.output(attended(ranker, vectors[row]).flatten())
        torch.testing.assert_close(ranker(rows)[row], expected, rtol=1e-4, atol=1e-5)


def test_a_perceptron_beside_adds_its_logits(schema: RowSchema, rows: Rows) -> None:
    ranker = AutoInt(AutoInt.Config(init=1.0, layer_norm=True), schema)
    both = ranker(rows)
    beside = ranker.deep(ranker.vectors(rows).flatten(1))
    ranker.deep = None
    torch.testing.assert_close(both, ranker(rows) + beside)


def test_a_setting_of_a_perceptron_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="deep = true"):
        AutoInt.Config.parse({"deep": False, "hidden": [64]})
