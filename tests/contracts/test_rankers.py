"""What every ranker of `tastemaker/rankers` must keep, whoever wrote it: they are found by listing the folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import rankdata

from tastemaker import resolve
from tastemaker.data import synthetic_rows
from tastemaker.data.features.encoder import FeatureEncoder
from tastemaker.data.schema import RowSchema
from tastemaker.errors import ConfigError
from tastemaker.nn.rows import Rows
from tastemaker.rankers.base import Ranker
from tastemaker.settings import Settings
from tastemaker.train.rows import RowLoader, RowTrainConfig, predict, train_rows

RANKERS = resolve.ranker_names()
CLAIMS = [(name, world) for name in RANKERS for world in resolve.ranker_class(name).solves]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@cache
def world_of(name: str) -> tuple[synthetic_rows.RowWorld, FeatureEncoder]:
    world = synthetic_rows.WORLDS[name]()
    return world, FeatureEncoder.fit(world.table, world.features)


def home(name: str) -> str:
    """The world a ranker is tried in: the last it claims."""
    return resolve.ranker_class(name).solves[-1]


def built(name: str, world: str) -> Ranker:
    kind = resolve.ranker_class(name)
    made, encoder = world_of(world)
    torch.manual_seed(0)
    return kind(kind.Config(), RowSchema(encoder.schema, made.outputs))


def fit(name: str, world: str, epochs: int = 12) -> Ranker:
    made, encoder = world_of(world)
    learned = np.arange(len(made.labels) * 2 // 3)
    ranker = built(name, world)
    loader = RowLoader(encoder.encode(made.table).take(learned), made.labels[learned])
    config = RowTrainConfig(epochs=epochs, batch_rows=128, learning_rate=0.01, schedule="linear", device="cpu", threads=1)
    for _ in train_rows(ranker, loader, config):
        pass
    return ranker.eval()


@cache
def fitted(name: str, world: str) -> Ranker:
    return fit(name, world)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    ranks, positive = rankdata(scores), labels > 0
    count = positive.sum()
    return (ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(labels) - count))


def asked(world: str, rows: int = 200) -> Rows:
    made, encoder = world_of(world)
    return Rows.of(encoder.encode(made.table.slice(0, rows)))


def logits(ranker: Ranker, rows: Rows) -> torch.Tensor:
    with torch.no_grad():
        return ranker(rows)


def test_the_folder_is_not_empty_and_its_claims_name_worlds() -> None:
    assert {"lr", "fm", "dnn", "deepfm", "dcnv2"} <= set(RANKERS)
    assert {world for _, world in CLAIMS} <= set(synthetic_rows.WORLDS)


def test_no_name_means_two_things() -> None:
    assert not set(RANKERS) & set(resolve.model_names())


@pytest.mark.parametrize("name", RANKERS)
def test_a_ranker_is_described_and_configured_by_its_own_file(name: str) -> None:
    kind = resolve.ranker_class(name)
    assert issubclass(kind.Config, Settings)
    assert kind.__doc__
    assert kind.solves
    assert kind.ancestor is None or kind.ancestor in RANKERS
    assert kind.Config() == kind.Config.parse({})
    assert [field for field, info in kind.Config.model_fields.items() if not info.description] == []


@pytest.mark.parametrize(("name", "world"), CLAIMS)
def test_a_ranker_comes_near_what_can_be_known_in_the_worlds_that_it_claims(name: str, world: str) -> None:
    made, encoder = world_of(world)
    ranker, held = fitted(name, world), np.arange(len(made.labels) * 2 // 3, len(made.labels))
    found = predict(ranker, encoder.encode(made.table).take(held))
    for task in range(found.shape[1]):
        labels = made.labels[held, task]
        best = auc(labels, made.truth[held, task])
        assert auc(labels, found[:, task]) - 0.5 > 0.8 * (best - 0.5), made.outputs[task]


def test_a_linear_ranker_knows_nothing_in_the_world_of_crosses() -> None:
    made, encoder = world_of("crossed")
    held = np.arange(len(made.labels) * 2 // 3, len(made.labels))
    assert auc(made.labels[held, 0], predict(fitted("lr", "crossed"), encoder.encode(made.table).take(held))[:, 0]) < 0.55


@pytest.mark.parametrize("name", RANKERS)
def test_logits_are_finite_float32_and_a_column_each_output(name: str) -> None:
    world = home(name)
    found = logits(fitted(name, world), asked(world))
    assert found.shape == (200, len(world_of(world)[0].outputs))
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", RANKERS)
def test_a_row_does_not_depend_on_the_others(name: str) -> None:
    world = home(name)
    made, encoder = world_of(world)
    ranker, features = fitted(name, world), encoder.encode(made.table.slice(0, 60))
    whole = logits(ranker, Rows.of(features))
    order = np.random.default_rng(0).permutation(60)
    torch.testing.assert_close(logits(ranker, Rows.of(features.take(order))), whole[torch.from_numpy(order)], **CLOSE)
    torch.testing.assert_close(logits(ranker, Rows.of(features.take(np.array([7])))), whole[7:8], **CLOSE)


@pytest.mark.parametrize("name", [name for name in RANKERS if resolve.ranker_class(name).shares_cells])
def test_rows_may_share_cells(name: str) -> None:
    ranker = built(name, home(name))
    rows = asked(home(name), 40)
    order = torch.arange(40).repeat_interleave(3)
    bags = []
    for codes, offsets in rows.bags:
        starts, ends = offsets[order], offsets[order + 1]
        bags.append(
            (
                torch.cat([codes[a:b] for a, b in zip(starts, ends, strict=True)]),
                torch.cat([offsets[:1], (ends - starts).cumsum(0)]),
            )
        )
    whole = Rows(rows.codes[order], rows.numbers[order], tuple(vector[order] for vector in rows.vectors), tuple(bags))
    shared = Rows(whole.codes, whole.numbers, whole.vectors, rows.bags, (order,) * len(rows.bags))
    assert torch.equal(logits(ranker, shared), logits(ranker, whole))


@pytest.mark.parametrize("name", RANKERS)
def test_no_rows_give_no_logits(name: str) -> None:
    world = home(name)
    made, encoder = world_of(world)
    found = logits(fitted(name, world), Rows.of(encoder.encode(made.table.slice(0, 0))))
    assert found.shape == (0, len(made.outputs))


@pytest.mark.parametrize("name", RANKERS)
def test_unknown_and_missing_values_have_finite_logits(name: str) -> None:
    world = home(name)
    made, encoder = world_of(world)
    columns = {}
    for field in made.table.schema:
        if pa.types.is_list(field.type) and pa.types.is_floating(field.type.value_type):
            size = len(made.table[field.name][0])
            columns[field.name] = pa.array([None, [], [float("nan")] * size, [1e30] * size], field.type)
        elif pa.types.is_list(field.type):
            columns[field.name] = pa.array([None, [], ["never seen"], ["never seen", "i1"]], field.type)
        elif pa.types.is_floating(field.type):
            columns[field.name] = pa.array([None, float("nan"), 1e30, -1e30], field.type)
        else:
            columns[field.name] = pa.array([None, "", "never seen", "a1"], field.type)
    assert torch.isfinite(logits(fitted(name, world), Rows.of(encoder.encode(pa.table(columns))))).all()


@pytest.mark.parametrize("name", RANKERS)
def test_gradients_reach_every_parameter(name: str) -> None:
    world = home(name)
    ranker = built(name, world).train()
    with torch.no_grad():
        for parameter in ranker.parameters():  # away from points where relu or zero weights stop everything
            parameter.add_(0.05 * torch.randn_like(parameter))
    ranker(asked(world)).sum().backward()
    idle = [key for key, value in ranker.named_parameters() if value.numel() and value.grad is None]
    assert idle == []


@pytest.mark.parametrize("name", RANKERS)
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    one, other = fit(name, home(name), epochs=1).state_dict(), fit(name, home(name), epochs=1).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", RANKERS)
def test_a_saved_state_gives_the_same_logits_in_a_fresh_ranker(name: str, tmp_path: Path) -> None:
    world = home(name)
    ranker, fresh = fitted(name, world), built(name, world).eval()
    save_file(ranker.state_dict(), tmp_path / "weights.safetensors")
    fresh.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(logits(fresh, asked(world)), logits(ranker, asked(world)))


@pytest.mark.parametrize("name", [name for name in RANKERS if not resolve.ranker_class(name).many_outputs])
def test_a_ranker_of_one_label_refuses_two(name: str) -> None:
    kind = resolve.ranker_class(name)
    _, encoder = world_of(home(name))
    with pytest.raises(ConfigError, match="2 outputs"):
        kind(kind.Config(), RowSchema(encoder.schema, ("click", "buy")))
