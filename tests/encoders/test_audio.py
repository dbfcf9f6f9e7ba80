from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.io import wavfile
from torch import Tensor, nn

from tastemaker.encoders.audio import Audio
from tastemaker.errors import ConfigError

if TYPE_CHECKING:
    from conftest import TwoGroups

RATE = 4_000
SMALL: dict[str, Any] = {"rate": RATE, "seconds": 0.5, "mels": 24, "channels": (8, 16), "dim": 16}


class Peaks(nn.Module):
    """A network of two numbers: the band that is loudest at the beginning and at the end, as a share of all."""

    def forward(self, spectra: Tensor) -> Tensor:
        return spectra[:, 0, :, [2, -3]].argmax(1) / spectra.shape[2]


def tones(group: np.ndarray) -> pa.Table:
    """A tone near 400 Hz (group 0) or near 1,000 Hz of any loudness, in noise, beside one of 700 Hz that all have."""
    rng = np.random.default_rng(1)
    moments = np.arange(RATE // 2) / RATE
    rows = []
    for high in group:
        pitch = (1_000 if high else 400) * rng.uniform(0.9, 1.1)
        sound = np.sin(2 * np.pi * pitch * moments + rng.uniform(0, 6)) + np.sin(2 * np.pi * 700 * moments + rng.uniform(0, 6))
        sound = sound / np.sqrt(np.square(sound).mean()) + rng.normal(0, 0.3, len(moments))
        rows.append((rng.uniform(0.05, 0.25) * sound).astype(np.float32))
    return pa.table({"sound": pa.array([row.tolist() for row in rows], pa.list_(pa.float32()))})


def risers(group: np.ndarray) -> pa.Table:
    """A tone that rises from low to high, or falls in group 1: the same pitches, in another order."""
    rng = np.random.default_rng(1)
    moments = np.arange(RATE // 2) / RATE
    rows = []
    for falling in group:
        low, high = rng.uniform(300, 500), rng.uniform(1_000, 1_400)
        phase = np.cumsum(np.linspace(low, high, len(moments))) / RATE
        sound = np.sin(2 * np.pi * phase + rng.uniform(0, 6)) * rng.uniform(0.1, 0.5)
        rows.append((sound[::-1] if falling else sound).tolist())
    return pa.table({"sound": pa.array(rows, pa.list_(pa.float32()))})


def precision(world: TwoGroups, items: pa.Table, **settings: Any) -> float:
    encoder = Audio(Audio.Config.parse(SMALL | settings))
    encoder.fit(items, world.train)
    return world.precision(encoder.encode(items).values)


@pytest.mark.parametrize("sounds", [tones, risers])
def test_it_tells_who_buys_by_what_is_heard(sounds: Any, two_groups: TwoGroups) -> None:
    items = sounds(two_groups.group)
    tuned = precision(two_groups, items, tuning={"epochs": 10, "learning_rate": 3e-3})
    samples = np.array(items["sound"].to_pylist())
    energy = np.square(samples).reshape(64, 20, -1).mean(2)
    loudness = two_groups.precision(np.log(energy) - np.log(energy).mean())
    assert tuned > 0.95 > 0.75 > loudness


def test_a_network_of_ones_own_reads_spectra() -> None:
    encoder = Audio(Audio.Config.parse({"module": f"{__name__}:Peaks", "rate": RATE, "seconds": 0.5, "tune": "none"}))
    rising = risers(np.array([0, 1]))
    found = encoder.encode(rising).values
    assert found.shape == (2, 2)
    assert found[0, 0] < found[0, 1] and found[1, 0] > found[1, 1]


def test_files_and_lists_of_the_same_sound_get_the_same_vector(tmp_path: Path) -> None:
    tone = (0.3 * np.sin(np.arange(RATE) / 5)).astype(np.float32)
    into = io.BytesIO()
    wavfile.write(into, RATE, tone)
    (tmp_path / "tone.wav").write_bytes(into.getvalue())
    encoder = Audio(Audio.Config.parse(SMALL | {"folder": str(tmp_path)}))
    columns: list[Any] = [[into.getvalue()], ["tone.wav"], [{"bytes": None, "path": "tone.wav"}], [tone.tolist()]]
    first, *others = (encoder.encode(pa.table({"sound": one})).values for one in columns)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_what_comes_after_the_beginning_is_not_heard_and_what_is_short_is_followed_by_silence() -> None:
    encoder = Audio(Audio.Config.parse(SMALL))
    tone = (0.3 * np.sin(np.arange(RATE) / 5)).tolist()
    cells = [tone, tone[: RATE // 2], tone[: RATE // 4], tone[: RATE // 4] + [0.0] * (RATE // 4)]
    found = encoder.encode(pa.table({"sound": cells})).values
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])
    assert not np.array_equal(found[0], found[2])


def test_rejects_are_counted_by_reason() -> None:
    found = Audio(Audio.Config.parse(SMALL)).encode(pa.table({"sound": [[0.1, float("nan")], [], None, [0.1, 0.2]]}))
    assert found.rejects == {"a sample that is missing or not finite": 1}
    assert found.present.tolist() == [False, False, False, True]
    found = Audio(Audio.Config.parse(SMALL)).encode(pa.table({"sound": [b"ID3", b"", b"fLaC"]}))
    assert found.rejects == {"not a WAV file": 2, "no bytes": 1}


def test_settings_without_effect_are_said() -> None:
    with pytest.raises(ConfigError, match="no dim: it has no effect on a network of your own"):
        Audio(Audio.Config.parse({"module": "a:b", "dim": 8}))
    config = Audio.Config.parse(SMALL)
    assert Audio.Config.parse(config.model_dump(mode="json")) == config
