"""Samplers draw what they say and report the right probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.vocabulary import FIRST
from tastemaker.train import sampling

COUNTS = np.array([0, 0, 10, 40, 0, 50, 5])


@pytest.mark.parametrize("name", sampling.NAMES)
def test_draws_are_real_items_and_log_q_is_their_expected_count(name):
    make, draw = torch.Generator().manual_seed(0), sampling.sampler(name, COUNTS, 0.75)
    seen, expected, rounds = np.zeros(len(COUNTS)), np.zeros(len(COUNTS)), 3000
    for _ in range(rounds):
        positives = torch.multinomial(torch.tensor(COUNTS, dtype=torch.float), 8, replacement=True, generator=make)
        drawn = draw(positives, 0, 8, make)
        assert int(drawn.codes.min()) >= FIRST
        np.add.at(seen, drawn.codes.numpy(), 1)
        expected[drawn.codes.numpy()] = drawn.log_q.exp().numpy()
    got = seen / rounds
    np.testing.assert_allclose(got[got > 0], expected[got > 0], rtol=0.12)


def test_rows_get_samples_of_their_own():
    drawn = sampling.sampler("uniform", COUNTS, 0.0)(torch.tensor([3, 5]), 2, 50, torch.Generator().manual_seed(0))
    assert drawn.codes.shape == drawn.log_q.shape == (2, 50)
    assert not torch.equal(drawn.codes[0], drawn.codes[1])


def test_the_same_generator_state_gives_the_same_sample():
    draw = sampling.sampler("popularity", COUNTS, 0.5)
    one, two = (draw(torch.tensor([3]), 1, 20, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one.codes, two.codes)
