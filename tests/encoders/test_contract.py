"""What every encoder of `tastemaker/encoders` must keep, whoever wrote it: they are found by listing the folder.

An encoder that reads a new kind of column needs a `Case` of that kind here; one whose defaults are too slow for a test, smaller settings.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tastemaker import resolve
from tastemaker.data.interactions import Interactions
from tastemaker.encoders.base import Encoder, Vectors
from tastemaker.errors import DataError
from tastemaker.settings import Settings

ENCODERS = resolve.encoder_names()
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@dataclass(frozen=True, eq=False)
class Case:
    """Items to encode."""

    items: pa.Table
    there: list[int]
    """places that must get a vector"""
    absent: list[int]
    """places that must get none"""
    twins: tuple[int, int]
    """two equal rows"""
    wrong: pa.Table | None
    """of columns that it cannot read"""


def texts() -> Case:
    """Two tastes of 8 short texts, every second one; then what catalogues hold besides."""
    short = [
        f"{colour} {thing} for the {place}"
        for place in ("garden", "kitchen")
        for colour in ("red", "blue")
        for thing in (("rake", "hose", "seeds", "fence") if place == "garden" else ("kettle", "spoon", "plate", "oven"))
    ]
    tastes = [one for pair in zip(short[:8], short[8:], strict=True) for one in pair]
    odd = [
        "<p>Red <b>rake</b> &amp; blue hose</p><script>x()</script>",
        "red \x00\ud800rake\u200b for the garden",
        "红色 水壶 for the kitchen, für die Küche, для кухни, रसोई के लिए",
        "❤️ 👩‍🚀 red kettle 🇩🇪",
        "red rake for the garden " * 5000,
        None,
        "",
        " \n\t\u3000 ",
        "<br/><!-- nothing -->",
    ]
    table = pa.table(
        {
            "title": pa.array([one.encode("utf-8", "ignore").decode() if one else one for one in [*tastes, *odd, tastes[3]]]),
            "tags": pa.array([["new", None]] * len(tastes) + [[]] * len(odd) + [["new", None]], pa.list_(pa.string())),
        }
    )
    return Case(
        items=table,
        there=[*range(len(tastes) + 5), len(table) - 1],
        absent=[*range(len(tastes) + 5, len(table) - 1)],
        twins=(3, len(table) - 1),
        wrong=pa.table({"title": [b"bytes"], "tags": [["new"]]}),
    )


def use() -> Case:
    """No columns: places alone. The last item is in nobody's history."""
    return Case(pa.table({"": np.zeros(20)}).select([]), [*range(16)], [19], (0, 0), None)


def images() -> Case:
    """16 pictures of two tones each; then what catalogues hold besides."""
    tones = [(40 * (place % 4), 60 * (place // 4), 128) for place in range(16)]
    pictures = [Image.new("RGB", (40, 40), tone) for tone in tones]
    for place, picture in enumerate(pictures):
        picture.paste((255, 255, 200), (0, 0, 5 + 2 * place, 20))
    files = [_file(picture, ("PNG", "JPEG", "WEBP")[place % 3]) for place, picture in enumerate(pictures)]
    cells = [*files, None, b"", files[0][:60], b"text", files[3]]
    return Case(pa.table({"photo": cells}), [*range(16), 20], [*range(16, 20)], (3, 20), pa.table({"photo": [1, 2]}))


def _file(picture: Image.Image, kind: str) -> bytes:
    into = io.BytesIO()
    picture.save(into, kind)
    return into.getvalue()


def ready() -> Case:
    """Vectors of two tastes, every second one; then what catalogues hold besides."""
    near = np.random.default_rng(0).normal(0, 0.1, (16, 6)).astype(np.float32)
    near[::2, 0] += 1
    near[1::2, 1] += 1
    cells = [*near.tolist(), None, [], [0.0] * 6, [1.0] * 5, [float("nan")] * 6, near[3].tolist()]
    column = pa.array(cells, pa.list_(pa.float32()))
    return Case(pa.table({"v": column}), [*range(16), 21], [*range(16, 21)], (3, 21), pa.table({"v": ["text"]}))


def attributes() -> Case:
    """Items of two tastes, every second one; then what catalogues hold besides."""
    tags = [[f"{place % 2}-{value}" for value in (place // 2 % 3, 3 + place // 2 % 4)] for place in range(16)]
    table = pa.table(
        {
            "tags": pa.array([*tags, None, [], ["never"], tags[3]]),
            "price": pa.array([*range(16), None, float("nan"), float("-inf"), 3], pa.float64()),
            "brand": pa.array([*(f"b{place % 3}" for place in range(16)), None, "", None, "b0"]),
        }
    )
    wrong = pa.table({"tags": ["text"], "price": ["text"], "brand": ["b1"]})
    return Case(table, [*range(16), 19], [16, 17, 18], (3, 19), wrong)


def clips() -> Case:
    """16 clips of a bar that moves right, or left in every second one; then what catalogues hold besides."""
    shades = np.full((16, 6, 16, 16), 40, np.uint8)
    for place in range(16):
        for moment in range(6):
            at = 2 * moment if place % 2 else 10 - 2 * moment
            shades[place, moment, place // 2 : place // 2 + 6, at : at + 4] = 200 + place
    files = [_animation(one) for one in shades]
    cells = [*files, None, b"", files[0][:40], b"text", files[3]]
    return Case(pa.table({"clip": cells}), [*range(16), 20], [*range(16, 20)], (3, 20), pa.table({"clip": [1, 2]}))


def _animation(shades: np.ndarray) -> bytes:
    first, *more = (Image.fromarray(one) for one in shades)
    into = io.BytesIO()
    first.save(into, "GIF", save_all=True, append_images=more)
    return into.getvalue()


def sounds() -> Case:
    """16 tones, those of every second one higher; then what catalogues hold besides."""
    moments = np.arange(2_000) / 4_000
    tones = [0.4 * np.sin(2 * np.pi * (300 + 20 * place + 900 * (place % 2)) * moments) for place in range(16)]
    files = [_wave(tone) for tone in tones]
    cells = [*files, None, b"", files[0][:60], b"text", files[3]]
    return Case(pa.table({"sound": cells}), [*range(16), 20], [*range(16, 20)], (3, 20), pa.table({"sound": [1, 2]}))


def _wave(samples: np.ndarray) -> bytes:
    into = io.BytesIO()
    with wave.open(into, "wb") as file:
        file.setparams((1, 2, 4_000, 0, "NONE", ""))
        file.writeframes((samples * 32_767).astype("<i2").tobytes())
    return into.getvalue()


CASES: dict[str, Callable[[], Case]] = {
    "text": texts,
    "use": use,
    "image": images,
    "vector": ready,
    "attributes": attributes,
    "video": clips,
    "audio": sounds,
}
SMALL: dict[str, dict[str, Any]] = {
    "audio": {"rate": 4_000, "seconds": 0.5, "mels": 16, "channels": [4, 8], "dim": 8, "tuning": {"epochs": 1}},
    "video": {"frames": 4, "size": 16, "channels": [4, 8], "dim": 8, "tuning": {"epochs": 1}},
    "image_cnn": {"size": 64},
    "word_cnn": {"dim": 16, "maps": 16, "tuning": {"epochs": 2}},
}
OF_ROWS = [name for name in ENCODERS if resolve.encoder_class(name).reads != "use"]


@cache
def case_of(reads: str) -> Case:
    return CASES[reads]()


def two_tastes() -> Interactions:
    """30 users go through the even ones of the first 16 items, 30 through the odd ones."""
    rng = np.random.default_rng(0)
    rows = np.array([rng.permutation(8)[:6] * 2 + user % 2 for user in range(60)])
    users = np.repeat(np.arange(2, 62, dtype=np.int32), 6)
    count = rows.size
    return Interactions(
        user=users,
        item=(rows.ravel() + 2).astype(np.int32),
        time=np.arange(1, count + 1, dtype=np.int64),
        value=np.ones(count, np.float32),
        kind=np.zeros(count, np.int8),
        side=np.full(count, -1, np.int8),
    )


def fit(name: str, items: pa.Table | None = None, train: Interactions | None = None) -> Encoder:
    """A fresh encoder of the folder, fitted to the case of its kind."""
    kind = resolve.encoder_class(name)
    encoder: Encoder = kind(kind.Config.parse(SMALL.get(name, {})))
    encoder.fit(case_of(kind.reads).items if items is None else items, two_tastes() if train is None else train)
    return encoder.eval()


@cache
def fitted(name: str) -> Encoder:
    return fit(name)


@cache
def vectors(name: str) -> Vectors:
    return fitted(name).encode(case_of(fitted(name).reads).items)


def test_the_folder_is_not_empty() -> None:
    assert "tfidf" in ENCODERS


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_is_described_and_configured_by_its_own_file(name: str) -> None:
    kind = resolve.encoder_class(name)
    assert issubclass(kind.Config, Settings)
    assert kind.Config is not Encoder.Config
    assert kind.__doc__
    assert kind.Config() == kind.Config.parse({})
    assert [field for field, info in kind.Config.model_fields.items() if not info.description] == []
    assert kind.reads in CASES, "add a Case of this kind"


@pytest.mark.parametrize("name", ENCODERS)
def test_what_is_there_gets_a_finite_vector_and_what_is_not_gets_zeros(name: str) -> None:
    case, found = case_of(fitted(name).reads), vectors(name)
    assert found.values.shape == (len(case.items), found.dim) and found.dim > 0
    assert (found.values.dtype, found.present.dtype, found.present.shape) == (np.float32, np.bool_, (len(case.items),))
    assert np.isfinite(found.values).all()
    assert found.present[case.there].all() and not found.present[case.absent].any()
    assert found.values[found.present].any(axis=1).all() and not found.values[~found.present].any()


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_row_does_not_depend_on_the_others(name: str) -> None:
    encoder, together = fitted(name), vectors(name)
    items = case_of(encoder.reads).items
    order = np.random.default_rng(0).permutation(len(items))
    shuffled = encoder.encode(items.take(order))
    np.testing.assert_allclose(shuffled.values, together.values[order], **CLOSE)
    np.testing.assert_array_equal(shuffled.present, together.present[order])
    for place in (*order[:4].tolist(), len(items) - 2):
        alone = encoder.encode(items.slice(place, 1))
        np.testing.assert_allclose(alone.values[0], together.values[place], **CLOSE)


@pytest.mark.parametrize("name", OF_ROWS)
def test_equal_rows_get_equal_vectors(name: str) -> None:
    one, other = case_of(fitted(name).reads).twins
    np.testing.assert_array_equal(vectors(name).values[one], vectors(name).values[other])


@pytest.mark.parametrize("name", ENCODERS)
def test_vectors_tell_items_apart(name: str) -> None:
    found = vectors(name)
    places = [place for place in case_of(fitted(name).reads).there[:16] if found.present[place]]
    assert len(np.unique(found.values[places].round(4), axis=0)) > len(places) // 2


@pytest.mark.parametrize("name", ENCODERS)
def test_no_rows_give_no_vectors(name: str) -> None:
    encoder = fitted(name)
    found = encoder.encode(case_of(encoder.reads).items.slice(0, 0))
    assert found.values.shape == (0, vectors(name).dim) and found.present.shape == (0,)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_saved_encoder_gives_the_same_vectors_to_the_bit(name: str, tmp_path: Path) -> None:
    encoder, expected = fitted(name), vectors(name)
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
    again: Encoder = type(encoder)(encoder.config)
    again.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    found = again.eval().encode(case_of(encoder.reads).items)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.present, expected.present)
    assert again.version == encoder.version


@pytest.mark.parametrize("name", ENCODERS)
def test_fitting_again_gives_the_same_encoder_and_leaves_chance_alone(name: str) -> None:
    before = torch.random.get_rng_state()
    again = fit(name)
    assert torch.equal(before, torch.random.get_rng_state())
    assert again.version == fitted(name).version
    np.testing.assert_array_equal(again.encode(case_of(again.reads).items).values, vectors(name).values)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_version_is_16_hex_digits_and_encoding_leaves_it(name: str) -> None:
    encoder = fitted(name)
    before = encoder.version
    encoder.encode(case_of(encoder.reads).items.slice(0, 3))
    assert len(before) == 16 and int(before, 16) >= 0 and encoder.version == before


@pytest.mark.parametrize("name", ENCODERS)
def test_nothing_to_learn_from_is_no_fault(name: str) -> None:
    case, train = case_of(resolve.encoder_class(name).reads), two_tastes()
    nobody = train.take(np.zeros(len(train), bool))
    found = fit(name, train=nobody).encode(case.items)
    assert found.values.shape == vectors(name).values.shape
    empty = case.items.take(case.absent[:1] * 3)
    assert not fit(name, items=empty, train=nobody).encode(empty).present.any()


@pytest.mark.parametrize("name", OF_ROWS)
def test_columns_that_it_cannot_read_are_said(name: str) -> None:
    wrong = case_of(fitted(name).reads).wrong
    assert wrong is not None
    with pytest.raises(DataError):
        fit(name).encode(wrong)


@pytest.mark.parametrize("name", ENCODERS)
def test_progress_goes_up_to_the_end(name: str) -> None:
    kind = resolve.encoder_class(name)
    told: list[tuple[int, int]] = []
    encoder: Encoder = kind(kind.Config.parse(SMALL.get(name, {})))
    encoder.fit(case_of(kind.reads).items, two_tastes(), lambda done, all_: told.append((done, all_)))
    encoder.encode(case_of(kind.reads).items, lambda done, all_: told.append((done, all_)))
    assert all(0 <= done <= all_ for done, all_ in told)
