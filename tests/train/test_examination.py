"""What is looked at, learned beside a ranker."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.train.examination import Examination


@given(st.floats(-6, 6), st.floats(-1, 1))
def test_a_click_is_a_look_and_a_wish(logit: float, tenth: float) -> None:
    looked = Examination(2)
    with torch.no_grad():
        looked.tenths[1] = tenth
        found = looked(torch.tensor([[logit], [logit]]), torch.tensor([0, 1])).sigmoid()[:, 0]
    wish = torch.tensor(logit).sigmoid()
    torch.testing.assert_close(found, wish * torch.from_numpy(looked.examined()).float(), rtol=1e-4, atol=1e-6)
    assert looked.examined()[0] == 1


def test_far_logits_and_places_have_finite_slopes() -> None:
    looked, logits = Examination(3), torch.tensor([[-90.0, 90.0], [-90.0, 90.0], [0.0, 0.0]], requires_grad=True)
    with torch.no_grad():
        looked.tenths[:] = torch.tensor([9.0, -9.0, 0.0])
    looked(logits, torch.tensor([0, 1, 2])).sum().backward()
    assert torch.isfinite(logits.grad).all() and torch.isfinite(looked.tenths.grad).all()
    assert looked.tenths.grad[0] == 0  # the first is looked at, whatever is learned
