from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from tastemaker.encoders.video import Video
from tastemaker.errors import ConfigError

if TYPE_CHECKING:
    from conftest import TwoGroups


class Colours(nn.Module):
    """An image network of three numbers."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


class Everything(nn.Module):
    """A clip network that sums up clips."""

    def forward(self, clips: Tensor) -> Tensor:
        return clips.flatten(1).mean(1, keepdim=True)


def movers(group: np.ndarray) -> pa.Table:
    """A spot of any shade that moves right (group 0) or left (group 1) from anywhere on a background of any shade: frames of numbers."""
    rng = np.random.default_rng(1)
    shades = np.zeros((len(group), 8, 24, 24), np.uint8)
    for place, left in enumerate(group):
        ground, spot = rng.permutation([30, 90, 150, 210])[:2]
        shades[place] = ground + rng.integers(0, 10, (8, 24, 24))
        start, row, speed = rng.integers(0, 24), rng.integers(0, 18), 2
        for moment in range(8):
            columns = (start + (speed if not left else -speed) * moment + np.arange(6)) % 24
            shades[place, moment, row : row + 6, columns] = spot
    return pa.table({"clip": pa.array(shades.tolist(), pa.list_(pa.list_(pa.list_(pa.uint8()))))})


def faders(group: np.ndarray) -> pa.Table:
    """From one colour to another, or the other way round in group 1: all frames together are the same."""
    rng = np.random.default_rng(1)
    clips = np.zeros((len(group), 8, 8, 8, 3), np.uint8)
    for place, back in enumerate(group):
        share = np.linspace(0, 1, 8)[:, None] if not back else np.linspace(1, 0, 8)[:, None]
        colours = share * [230, 60, 20] + (1 - share) * [20, 60, 230]
        clips[place] = np.clip(colours[:, None, None] + rng.normal(0, 15, (8, 8, 8, 3)), 0, 255)
    return pa.table({"clip": clips.tolist()})


@cache
def of_frames(items: Any, world: Any) -> pa.Table:
    return items(world.group)


MOVING: dict[str, Any] = {"size": 24, "channels": (8, 16), "dim": 16, "tuning": {"epochs": 15, "learning_rate": 3e-3}}
FADING: dict[str, Any] = {
    "network": "attention",
    "module": f"{__name__}:Colours",
    "size": 16,
    "dim": 16,
    "tuning": {"epochs": 8},
}


def precision(world: TwoGroups, items: pa.Table, **settings: Any) -> float:
    encoder = Video(Video.Config.parse(settings))
    encoder.fit(items, world.train)
    return world.precision(encoder.encode(items).values)


def test_convolutions_over_time_tell_who_buys_by_the_way_things_move(two_groups: TwoGroups) -> None:
    items = of_frames(movers, two_groups)
    assert precision(two_groups, items, **MOVING) > 0.9
    assert precision(two_groups, items, **MOVING, frames=1) < 0.7
    assert precision(two_groups, items, **MOVING, tune="none") < 0.7


def test_attention_over_time_tells_who_buys_by_what_comes_first(two_groups: TwoGroups) -> None:
    items = of_frames(faders, two_groups)
    assert precision(two_groups, items, **FADING, tune="last") > 0.95
    colours = np.array(items["clip"].to_pylist()).mean((1, 2, 3))
    assert two_groups.precision(colours - colours.mean(0)) < 0.7


def test_networks_of_ones_own_are_plugged_in() -> None:
    items = pa.table({"clip": [[[[[0, 51, 255]]], [[[0, 153, 255]]]]]})  # two frames of one pixel
    settings = {"module": f"{__name__}:Everything", "frames": 2, "size": 16, "tune": "none"}
    found = Video(Video.Config.parse(settings)).encode(items)
    expected = np.mean([(one - 127) / 128 for one in (0, 51, 255, 0, 153, 255)])
    np.testing.assert_allclose(found.values, [[expected]], atol=1e-6)
    with pytest.raises(ConfigError, match=r"makes \(2, 3, 16\)"):
        Video(Video.Config.parse(settings | {"module": f"{__name__}:Colours"}))


def test_the_image_network_goes_through_frames_and_stays_as_it_was(two_groups: TwoGroups) -> None:
    encoder = Video(
        Video.Config.parse({"network": "attention", "size": 32, "frames": 2, "tune": "last", "tuning": {"epochs": 1}})
    )
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.fit(of_frames(faders, two_groups), two_groups.train)
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("net.1.") for name in changed)
    assert encoder.tuned is not None and encoder.tuned.trained < 0.05 * 3_350_000


def test_rejects_are_counted_by_reason() -> None:
    encoder = Video(Video.Config.parse({"size": 16, "frames": 2, "channels": (4,), "dim": 4}))
    found = encoder.encode(pa.table({"clip": [b"text", b"", None, b"more text"]}))
    assert found.rejects == {"not an image of a known format": 2, "no bytes": 1}
    assert not found.present.any()


@pytest.mark.parametrize(
    "settings", [{"network": "attention", "channels": (4,)}, {"module": f"{__name__}:Everything", "dim": 8}]
)
def test_settings_without_effect_are_said(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="it has no effect"):
        Video(Video.Config.parse(settings))
    config = Video.Config.parse({"size": 32})
    assert Video.Config.parse(config.model_dump(mode="json")) == config
