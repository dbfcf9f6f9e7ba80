from __future__ import annotations

import torch
from torch import nn

from tastemaker.nn.clips import Conv2Plus1d, PerFrame, SoundCNN, TemporalAttention


def seeded(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_clips_become_vectors_whatever_stands_beside_them() -> None:
    for net, given in (
        (Conv2Plus1d(12, (4, 8)), seeded(3, 3, 5, 16, 16)),
        (TemporalAttention(6, 5, 12, heads=4), seeded(3, 5, 6)),
        (SoundCNN(12, (4, 8, 8), mels=10), seeded(3, 1, 10, 21)),
    ):
        found = net(given)
        assert found.shape == (3, 12)
        torch.testing.assert_close(net(given[1:2]), found[1:2], rtol=1e-4, atol=1e-5)


def test_order_in_time_counts() -> None:
    for net, given, time in (
        (Conv2Plus1d(12, (4, 8)), seeded(1, 3, 5, 16, 16), 2),
        (TemporalAttention(6, 5, 12, heads=4), seeded(1, 5, 6), 1),
    ):
        assert not torch.allclose(net(given), net(given.flip(time)), atol=1e-3)


def test_frames_go_through_a_network_one_by_one() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    clips = seeded(2, 3, 5, 8, 8)
    found = PerFrame(net)(clips)
    assert found.shape == (2, 5, 4)
    torch.testing.assert_close(found[1, 3], net(clips[1:2, :, 3])[0])


def test_pitch_is_kept_where_a_mean_over_frequencies_would_lose_it() -> None:
    torch.manual_seed(0)
    net = SoundCNN(12, (4, 8), mels=16)
    low = torch.zeros(1, 1, 16, 8)
    low[:, :, 4] = 1
    assert not torch.allclose(net(low), net(low.roll(4, 2)), atol=1e-3)
