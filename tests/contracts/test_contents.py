"""What every model that learns from the contents of items must keep: found by listing the folder and asking each model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tastemaker import resolve
from tastemaker.data import synthetic
from tastemaker.data.dataset import Dataset
from tastemaker.data.interactions import Histories
from tastemaker.data.item_contents import FusionSettings, ItemContents
from tastemaker.data.vocabulary import FIRST, UNKNOWN, Vocabulary
from tastemaker.experiment.fit import build, fit
from tastemaker.models.base import Model, Query, RetrievalModel
from tastemaker.train.config import TrainConfig

CLOSE = {"rtol": 1e-4, "atol": 1e-5}
COLD = 8
"""items at the end of the vocabulary that nobody has met: half of each taste"""


def settings(**given: object) -> FusionSettings:
    return FusionSettings.parse(given)


def contents(tastes: np.ndarray, **given: object) -> ItemContents:
    """A vector that tells the taste and one that tells nothing, each missing in places."""
    rng = np.random.default_rng(0)
    told = np.eye(2, 8, dtype=np.float32)[tastes % 2] + 0.1 * rng.normal(size=(len(tastes), 8)).astype(np.float32)
    other = rng.normal(size=(len(tastes), 5)).astype(np.float32)
    real = np.arange(len(tastes)) >= FIRST
    present = {"taste": real, "noise": real & (np.arange(len(tastes)) % 3 > 0)}
    return ItemContents({"taste": told, "noise": other}, present, settings(**given))


@cache
def world(**given: object) -> Dataset:
    """Two tastes, whose items tell theirs, and `COLD` items without an event."""
    plain = synthetic.two_tastes(60, 40).dataset
    tastes = np.array([int(name[-1]) for name in plain.catalogue["taste"].to_pylist()] + [0, 1] * (COLD // 2))
    ids = [*map(str, plain.items.ids.to_pylist()), *(f"cold {place}" for place in range(COLD))]
    return replace(
        plain, items=Vocabulary(pa.array(ids)), contents=contents(np.concatenate([np.zeros(FIRST, int), tastes]), **given)
    )


def reads(name: str) -> bool:
    return build(name, resolve.model_class(name).Config(), world().schema).reads_contents


MODELS = [name for name in resolve.model_names() if reads(name)]
WARM = ("svdpp", "xsimgcl")
"""predicts values, all alike here; counts no layer that an item without an edge has"""
GROWING = [name for name in MODELS if getattr(build(name, resolve.model_class(name).Config(), world().schema), "grows", False)]


@cache
def fitted(name: str, fusion: str = "gated") -> Model:
    kind, dataset = resolve.model_class(name), world(fusion=fusion)
    model = build(name, kind.Config(), dataset.schema)
    train = TrainConfig.parse({"epochs": 12, "learning_rate": 0.01, "batch_targets": 64, "device": "cpu", "threads": 1})
    for _ in fit(model, dataset.interactions, train, dataset=dataset):
        pass
    return model.eval()


def asked() -> Query:
    """Strangers of both tastes, one with a cold item, one with nothing."""
    tastes = taste_of()
    rows = [np.flatnonzero(tastes == taste)[:4].tolist() for taste in (0, 1)]
    return Query.of(np.full(4, UNKNOWN), Histories.of([*rows, [len(tastes) - 1, *rows[0]], []]))


def taste_of() -> np.ndarray:
    """The taste of each item code, -1 for PAD and UNKNOWN."""
    told = world().contents.values["taste"][:, :2].argmax(axis=1)
    told[:FIRST] = -1
    return told


@torch.no_grad()
def scores(model: Model, query: Query) -> Tensor:
    return model.score(query)


def test_those_that_learn_item_vectors_read_contents() -> None:
    assert {"sasrec", "gru4rec", "two_tower", "mf", "lightgcn", "content", "vbpr", "unisrec"} <= set(MODELS)
    assert {"sasrec", "two_tower", "mf", "content", "vbpr", "unisrec"} <= set(GROWING)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in WARM])
def test_items_that_nobody_has_met_are_ranked_by_what_they_are(name: str) -> None:
    tastes, found = taste_of(), scores(fitted(name), asked())
    cold = np.arange(len(tastes)) >= len(tastes) - COLD
    for row, taste in ((0, 0), (1, 1)):
        right, wrong = found[row, cold & (tastes == taste)], found[row, cold & (tastes != taste)]
        assert right.mean() > wrong.mean()


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_finite_and_rows_stand_alone(name: str) -> None:
    model, query = fitted(name), asked()
    found = scores(model, query)
    assert found[:, FIRST:].isfinite().all()
    alone = Query.of(np.array([UNKNOWN]), Histories.of([query.items[: int(query.offsets[1])].tolist()]))
    torch.testing.assert_close(scores(model, alone), found[:1], **CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_state_answers_bit_for_bit(name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    model, kind = fitted(name), resolve.model_class(name)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    fresh = kind(model.config, model.schema)
    fresh.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(scores(fresh.eval(), asked()), scores(model, asked()))


@pytest.mark.parametrize("name", GROWING)
def test_items_that_come_later_are_scored_as_if_they_had_been_there(name: str) -> None:
    model = fitted(name)
    assert isinstance(model, RetrievalModel)
    tastes = np.array([0, 1])
    like = world().contents
    assert like is not None
    places = [len(taste_of()) - COLD, len(taste_of()) - COLD + 1]
    new = ItemContents(
        {key: rows[places] for key, rows in like.values.items()},
        {key: rows[places] for key, rows in like.present.items()},
        like.settings,
    )
    grown, before = model.grown(new), scores(model, asked())
    after = scores(grown, asked())
    assert after.shape[1] == before.shape[1] + len(tastes)
    torch.testing.assert_close(after[:, : before.shape[1]], before, **CLOSE)
    assert torch.equal(scores(model, asked()), before)  # the old one is as it was
    if name not in ("mf", "svdpp", "bert4rec", "vbpr"):  # whose items have a bias: the mean of those trained in place of none
        torch.testing.assert_close(after[:, before.shape[1] :], before[:, places], **CLOSE)
    read = Query.of(np.array([UNKNOWN]), Histories.of([[before.shape[1], *asked().items[:3].tolist()]]))
    assert scores(grown, read)[:, FIRST:].isfinite().all()


@pytest.mark.parametrize("name", GROWING)
def test_vectors_of_items_alone_are_those_of_the_grown_model(name: str) -> None:
    model, like = fitted(name), world().contents
    assert isinstance(model, RetrievalModel) and like is not None
    places = [FIRST, FIRST + 5, len(taste_of()) - COLD]
    told = ItemContents(
        {key: rows[places] for key, rows in like.values.items()},
        {key: rows[places] for key, rows in like.present.items()},
        like.settings,
    )
    with torch.no_grad():
        grown, old = model.grown(told).encode_item(), model.encode_item()
        torch.testing.assert_close(model.encode_told(told, np.zeros(3, np.int64)), grown[len(old) :], **CLOSE)
        kept = model.encode_told(told, np.array(places))
        torch.testing.assert_close(kept[:2], old[places[:2]], **CLOSE)  # own vectors are kept
        assert torch.equal(model.encode_item(), old)


@pytest.mark.parametrize("fusion", ["concat", "outer", "gated", "attention"])
def test_every_fusion_learns_what_the_informative_modality_says(fusion: str) -> None:
    tastes, found = taste_of(), scores(fitted("sasrec", fusion), asked())
    cold = np.arange(len(tastes)) >= len(tastes) - COLD
    assert found[0, cold & (tastes == 0)].mean() > found[0, cold & (tastes == 1)].mean()
