from __future__ import annotations

import pytest
import torch

from tastemaker.data.schema import RowSchema
from tastemaker.nn.rows import Rows
from tastemaker.rankers.xdeepfm import XDeepFM


@pytest.mark.parametrize("maps", [(3,), (3, 4), (3, 4, 5), (2, 3, 4, 5)])
def test_the_sums_of_maps_are_those_of_the_definition(schema: RowSchema, rows: Rows, maps: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ranker = XDeepFM(XDeepFM.Config(dim=4, init=1.0, maps=maps), schema)
    first = ranker.vectors(rows)
    held, said = first, []
    for weight in ranker.crossed.weights:
        cube = torch.zeros(len(weight), held.shape[1], 6)
        if not said:  # one weight for i with j and j with i
            lower, higher = torch.triu_indices(6, 6)
            cube[:, lower, higher] = weight
        else:
            cube = weight.view(len(weight), held.shape[1], 6)
        held = torch.einsum("hij,bid,bjd->bhd", cube, held, first)
        said.append(held.sum(2))
    torch.testing.assert_close(ranker.crossed(first), torch.cat(said, dim=1), rtol=1e-4, atol=1e-4)


def test_logits_are_the_sum_of_three_parts(two_labels: RowSchema, rows: Rows) -> None:
    torch.manual_seed(0)
    ranker = XDeepFM(XDeepFM.Config(init=1.0), two_labels)
    vectors = ranker.vectors(rows)
    parts = ranker.linear(rows), ranker.output(ranker.crossed(vectors)), ranker.deep(vectors.flatten(1))
    assert ranker(rows).shape == (7, 2)
    torch.testing.assert_close(ranker(rows), sum(parts))


def test_rounded_products_stay_near(schema: RowSchema, rows: Rows) -> None:
    torch.manual_seed(0)
    ranker = XDeepFM(XDeepFM.Config(init=0.3, maps=(8, 8, 8)), schema)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = ranker(rows)
    torch.testing.assert_close(rounded.float(), ranker(rows), rtol=0.05, atol=0.05)
