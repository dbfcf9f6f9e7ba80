"""Buckets of time: logarithmic ones, and ones that count in the user's own unit."""

from __future__ import annotations

import torch

from tastemaker.nn.lags import log_lags, personal_lags, rectangles
from tastemaker.nn.ragged import Packing


def test_logarithmic_buckets_grow_with_time_and_end():
    seconds = torch.tensor([0, 0.5, 1, 1.5, 60, 3600, 86_400, 3e7, 3e9], dtype=torch.float64)
    found = log_lags((seconds * 1e6).long().unsqueeze(0), 64)[0]
    assert found[:, 0].tolist() == [0, 0, 0, 1, 13, 27, 37, 57, 63]
    assert torch.equal(found, found.T)


def test_a_personal_bucket_counts_the_shortest_gap_known_by_then():
    times = torch.tensor([[0, 0, 60, 80, 80, 90, 1000]]) + 5
    found = personal_lags(times, 21)[0]
    assert found[2, :3].tolist() == [1, 1, 0]  # the only gap known is 60
    assert found[4, :5].tolist() == [4, 4, 1, 0, 0]  # 20
    assert found[6].tolist() == [20, 20, 20, 20, 20, 20, 0]  # 10, and no bucket after the last
    assert torch.equal(personal_lags(times * 3600, 21)[0], found)


def test_events_at_one_moment_have_one_bucket():
    assert not personal_lags(torch.full((2, 4), 9), 5).any()


def test_every_line_of_a_packing_has_the_lags_of_its_own_tokens():
    offsets, times = torch.tensor([0, 3, 3, 5, 9]), torch.tensor([0, 10, 30, 5, 9, 1, 2, 4, 8]) * 1_000_000
    packing = Packing.of(offsets)
    parts = rectangles(packing, times, lambda moments: moments.unsqueeze(2) - moments.unsqueeze(1), width=1 << 20)
    assert sum(part.slots for part in parts) == len(packing.to_slots)
    assert all(part.rows == 1 for part in parts)
    for part, row in zip(parts, packing.rows.tolist(), strict=True):
        own = times[offsets[row] : offsets[row + 1]]
        assert torch.equal(part.lags[0, : len(own), : len(own)], own.unsqueeze(1) - own)
