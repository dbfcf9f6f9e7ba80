"""What the script says of two models' errors."""

from __future__ import annotations

import numpy as np
import pytest
from bench.rating_models import compared


def test_a_gain_in_every_rating_is_beyond_noise_and_no_gain_is_not() -> None:
    draw = np.random.default_rng(0)
    owner = [draw.integers(2, 40, 200) for _ in range(4)]
    first = [(users, draw.random(200)) for users in owner]
    better = [(users, errors - 0.1 - 0.01 * draw.random(200)) for users, errors in first]
    found = compared(better, first)
    assert found["mse_gain"] == pytest.approx(0.105, abs=0.002)
    assert max(found["p_seeds"], found["p_users"]) < 1e-4
    noisy = compared([(users, errors + draw.normal(0, 0.1, 200)) for users, errors in first], first)
    assert min(noisy["p_seeds"], noisy["p_users"]) > 0.05
