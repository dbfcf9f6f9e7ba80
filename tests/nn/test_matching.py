"""Scores of vectors that are compared, against the formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tastemaker.nn.matching import Matching, suited_to_loss


@pytest.mark.parametrize("item_bias", [False, True])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_products_of_what_comes_back_are_the_scores_of_the_formula(similarity: str, item_bias: bool) -> None:
    torch.manual_seed(0)
    users, table, codes = torch.randn(5, 4), torch.randn(9, 4), torch.tensor([[3, 8], [0, 3]])
    matching = Matching(9, similarity, 0.2, item_bias=item_bias)
    bias = torch.zeros(9)
    if matching.item_bias is not None:
        torch.nn.init.normal_(matching.item_bias)
        bias = matching.item_bias.detach()
    pairs = users @ table.T if similarity == "dot" else F.cosine_similarity(users.unsqueeze(1), table, dim=2) / 0.2
    expected = pairs + bias
    asked = matching.of_users(users)
    torch.testing.assert_close((asked @ matching.of_items(table, None).T).detach(), expected)
    torch.testing.assert_close((matching.of_items(table, codes) @ asked.T).detach(), expected.T[codes])


def test_a_softmax_has_cosines_and_a_bias_and_what_was_set_stays() -> None:
    assert suited_to_loss(None, None, "softmax") == {"similarity": "cosine", "item_bias": True}
    assert suited_to_loss(None, None, None) == {"similarity": "cosine", "item_bias": True}
    assert suited_to_loss(None, None, "bpr") == {"similarity": "dot", "item_bias": False}
    assert suited_to_loss("dot", False, "cross_entropy") == {"similarity": "dot", "item_bias": False}
    assert suited_to_loss("cosine", True, "bpr") == {"similarity": "cosine", "item_bias": True}
