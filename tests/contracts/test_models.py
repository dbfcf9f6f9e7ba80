"""What every model of `tastemaker/models` must keep, whoever wrote it: they are found by listing the folder."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tastemaker import resolve
from tastemaker.data import synthetic
from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST, PAD, UNKNOWN
from tastemaker.models.base import Explains, Model, Query, RetrievalModel, SequenceModel, Solvable
from tastemaker.settings import Settings

MODELS = resolve.model_names()
WORLDS = {
    "popular": synthetic.popular,
    "two_tastes": synthetic.two_tastes,
    "chain": synthetic.chain,
    "noise": synthetic.noise,
    "planted_bias": synthetic.planted_bias,
}
CLAIMS = [(name, world) for name in MODELS for world in resolve.model_class(name).solves]
SEQUENCES = [name for name in MODELS if issubclass(resolve.model_class(name), SequenceModel)]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@cache
def world_of(name: str) -> synthetic.World:
    return WORLDS[name]()


def fit(name: str, world: synthetic.World) -> Model:
    """A fresh model with its default settings, fitted the way models of its kind are."""
    kind = resolve.model_class(name)
    torch.manual_seed(0)
    model = kind(kind.Config(), world.dataset.schema)
    if world.dataset.catalogue.num_columns:
        model.observe_catalogue(world.dataset.catalogue)
    if model.learns_from:
        from tastemaker.train.config import TrainConfig
        from tastemaker.train.trainer import train

        for _ in train(
            model,
            world.dataset.interactions,
            TrainConfig(epochs=10, learning_rate=0.01, batch_targets=64, device="cpu", threads=1),
        ):
            pass
    else:
        model.solve(world.dataset.interactions)
    return model.eval()


@cache
def fitted(name: str, world: str = "two_tastes") -> Model:
    return fit(name, world_of(world))


def query(users: list[int], rows: list[list[int]]) -> Query:
    return Query.of(np.asarray(users), Histories.of(rows))


def everybody(name: str = "two_tastes") -> Query:
    """Known users with their histories; users unseen in training; short, long, repeated and empty histories; unknown items."""
    world = world_of(name)
    known = world.histories
    items = np.arange(FIRST, world.dataset.items.size).tolist()
    strangers = [items[:1], items[::2], items, items[3:7] * 2, [UNKNOWN, *items[5:8], UNKNOWN], [UNKNOWN], []]
    rows = [known.row(r).tolist() for r in range(len(known))] + strangers
    return query([*world.users.tolist(), *[UNKNOWN] * len(strangers)], [*rows])


@torch.no_grad()
def scores(model: Model, asked: Query, items: Tensor | None = None) -> Tensor:
    return model.score(asked, items)


def part(asked: Query, rows: list[int]) -> Query:
    offsets = asked.offsets.tolist()
    return query(asked.users[rows].tolist(), [asked.items[offsets[r] : offsets[r + 1]].tolist() for r in rows])


def best(model: Model, world: synthetic.World) -> np.ndarray:
    """Lists of the answer's length: real items, best first, ties to the lower code, without the history where the world says so."""
    values = scores(model, Query.of(world.users, world.histories)).numpy().copy()
    values[:, :FIRST] = -np.inf
    if not world.include_seen:
        histories = world.histories
        values[np.repeat(np.arange(len(histories)), histories.lengths), histories.items] = -np.inf
    return np.argsort(-values, axis=1, kind="stable")[:, : world.answer.lengths.max()]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_folder_is_not_empty_and_its_claims_name_worlds() -> None:
    assert {"popularity", "item_knn", "user_knn", "ease", "als"} <= set(MODELS)
    assert {world for _, world in CLAIMS} <= set(WORLDS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_described_and_configured_by_its_own_file(name: str) -> None:
    kind = resolve.model_class(name)
    assert issubclass(kind.Config, Settings)
    assert kind.Config is not Model.Config
    assert kind.__doc__
    assert kind.Config() == kind.Config.parse({})
    assert [field for field, info in kind.Config.model_fields.items() if not info.description] == []


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_either_solved_or_learns_from_examples(name: str) -> None:
    model = fitted(name)
    assert isinstance(model, Solvable) == (not model.learns_from)
    assert isinstance(model, SequenceModel) <= (model.learns_from == "sequences")


@pytest.mark.parametrize("name", MODELS)
def test_everybody_gets_a_finite_score_for_every_item(name: str) -> None:
    asked, size = everybody(), world_of("two_tastes").dataset.items.size
    found = scores(fitted(name), asked)
    assert found.shape == (len(asked), size)
    assert found.dtype == torch.float32
    assert found[:, FIRST:].isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_nobody_asking_is_answered_with_no_rows(name: str) -> None:
    assert scores(fitted(name), query([], [])).shape == (0, world_of("two_tastes").dataset.items.size)


@pytest.mark.parametrize("name", MODELS)
def test_a_row_does_not_depend_on_who_else_asks(name: str) -> None:
    model, asked = fitted(name), everybody()
    together = scores(model, asked)
    rows = np.random.default_rng(0).permutation(len(asked))[:12].tolist()
    torch.testing.assert_close(scores(model, part(asked, rows)), together[rows], **CLOSE)
    for row in [*rows[:3], len(asked) - 1, len(asked) - 2]:
        torch.testing.assert_close(scores(model, part(asked, [row])), together[[row]], **CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_a_column_does_not_depend_on_the_other_candidates(name: str) -> None:
    model, asked = fitted(name), everybody()
    items = torch.tensor([FIRST + 7, FIRST, FIRST + 12, FIRST + 7, FIRST + 3])
    torch.testing.assert_close(scores(model, asked, items), scores(model, asked)[:, items], **CLOSE)
    assert scores(model, asked, items[:0]).shape == (len(asked), 0)


@pytest.mark.parametrize("name", MODELS)
def test_asking_twice_gives_the_same_bits_and_leaves_the_model_as_it_was(name: str) -> None:
    model, asked = fitted(name), everybody()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first = scores(model, asked)
    kept = first.clone()
    first[:] = -1  # an answer is the caller's own: writing to it must not reach the model
    assert torch.equal(scores(model, asked), kept)
    assert same(model.state_dict(), before)


@pytest.mark.parametrize("name", MODELS)
def test_equal_input_and_seed_give_equal_weights(name: str) -> None:
    assert same(fit(name, world_of("two_tastes")).state_dict(), fitted(name).state_dict())


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_saved_state_answers_bit_for_bit_in_a_fresh_model(name: str, assign: bool, tmp_path: Any) -> None:
    model, kind = fitted(name), resolve.model_class(name)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    fresh = kind(model.config, model.schema)
    fresh.load_state_dict(load_file(tmp_path / "weights.safetensors"), assign=assign)
    assert same(fresh.state_dict(), model.state_dict())
    assert torch.equal(scores(fresh.eval(), everybody()), scores(model, everybody()))


@pytest.mark.parametrize("name", MODELS)
def test_a_fresh_model_takes_the_state_of_another_after_having_one(name: str) -> None:
    other, kind = world_of("noise"), resolve.model_class(name)
    model = kind(kind.Config(), other.dataset.schema)
    if not model.learns_from:
        model.solve(other.dataset.interactions)
        asked = Query.of(other.users, other.histories)
        first = scores(model, asked)
        again = kind(kind.Config(), other.dataset.schema)
        again.solve(other.dataset.interactions.take(np.arange(len(other.dataset.interactions)) % 2 == 0))
        assert not same(again.state_dict(), model.state_dict())
        again.load_state_dict(model.state_dict())
        assert torch.equal(scores(again, asked), first)
    else:
        twin = kind(kind.Config(), other.dataset.schema)
        twin.load_state_dict(model.state_dict())
        assert same(twin.state_dict(), model.state_dict())


@pytest.mark.parametrize("name", [name for name in MODELS if resolve.model_class(name).learns_from != "sequences"])
def test_the_order_of_a_history_says_nothing_to_a_model_without_sequences(name: str) -> None:
    model, asked = fitted(name), everybody()
    offsets = asked.offsets.tolist()
    reversed_rows = [asked.items[a:b].tolist()[::-1] for a, b in pairwise(offsets)]
    torch.testing.assert_close(scores(model, query(asked.users.tolist(), reversed_rows)), scores(model, asked), **CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_unknown_items_in_a_history_are_as_if_they_were_not_there(name: str) -> None:
    model = fitted(name)
    history = world_of("two_tastes").histories.row(0).tolist()
    clean = scores(model, query([UNKNOWN, UNKNOWN], [history, []]))
    stained = scores(model, query([UNKNOWN, UNKNOWN], [[UNKNOWN, *history[:2], UNKNOWN, PAD, *history[2:]], [UNKNOWN]]))
    torch.testing.assert_close(stained, clean, **CLOSE)


def timed(rows: list[list[int]], times: list[list[int]]) -> Query:
    """Histories with times in hours."""
    packed = Histories.of(rows)
    hours = np.concatenate([np.asarray(row, np.int64) for row in times]) if rows else packed.times
    return Query.of(np.full(len(rows), UNKNOWN), replace(packed, times=hours * 3_600_000_000))


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_vector_before_an_event_does_not_know_it_nor_when_it_is_nor_what_follows(name: str) -> None:
    model = fitted(name)
    with torch.no_grad():
        one = model.encode_before(timed([[3, 4, 5, 6]], [[0, 1, 5, 7]]))
        two = model.encode_before(timed([[3, 4, 9, 8]], [[0, 1, 50, 51]]))
    torch.testing.assert_close(one[:3], two[:3], **CLOSE)
    assert not torch.allclose(one[3], two[3])


@pytest.mark.parametrize("name", SEQUENCES)
def test_asking_after_a_history_equals_training_on_its_next_event_whatever_rows_lie_beside_it(name: str) -> None:
    model, rows, times = fitted(name), [[3], [3, 4, 3], [], [5, 9, 5, 9, 7, 5]], [[2], [1, 1, 8], [], [0, 3, 4, 4, 9, 20]]
    longer = timed([[*row, 7] for row in rows], [[*hours, hours[-1] if hours else 0] for hours in times])
    ends = np.cumsum([len(row) + 1 for row in rows]) - 1
    with torch.no_grad():
        torch.testing.assert_close(model.encode_user(timed(rows, times)), model.encode_before(longer)[ends], **CLOSE)


@pytest.mark.parametrize("name", SEQUENCES)
@torch.no_grad()
def test_only_the_newest_events_are_read_and_unknown_items_take_no_place_among_them(name: str) -> None:
    torch.manual_seed(0)
    kind = resolve.model_class(name)
    model = kind(kind.Config(max_length=3), world_of("two_tastes").dataset.schema).eval()
    newest = model.encode_user(timed([[3, 4, 5]], [[2, 3, 7]]))
    torch.testing.assert_close(model.encode_user(timed([[9, 8, 3, 4, 5]], [[0, 1, 2, 3, 7]])), newest, **CLOSE)
    stained = timed([[9, 3, UNKNOWN, 4, PAD, 5, UNKNOWN]], [[0, 2, 2, 3, 5, 7, 9]])
    torch.testing.assert_close(model.encode_user(stained), newest, **CLOSE)


@pytest.mark.parametrize("name", [name for name, world in CLAIMS if world == "two_tastes"])
def test_a_user_unseen_in_training_is_what_their_history_says(name: str) -> None:
    """Two strangers, one of each taste, get the other items of their own taste first."""
    model, world = fitted(name), world_of("two_tastes")
    tastes = [set(world.histories.row(r)) | set(world.answer.row(r)) for r in (0, 1)]
    rows = [sorted(taste)[:4] for taste in tastes]
    found = scores(model, query([UNKNOWN, UNKNOWN], rows))
    for taste, seen, values in zip(tastes, rows, found, strict=True):
        values[:FIRST] = values[seen] = -torch.inf
        assert set(values.topk(len(taste) - len(seen)).indices.tolist()) == taste - set(seen)


@pytest.mark.parametrize(("name", "world"), CLAIMS)
def test_a_model_solves_the_worlds_it_claims(name: str, world: str) -> None:
    known = world_of(world)
    assert known.hit_share(best(fitted(name, world), known)) >= 0.95


@pytest.mark.parametrize("name", MODELS)
def test_no_model_knows_what_cannot_be_known(name: str) -> None:
    world = world_of("noise")
    share = world.hit_share(best(fitted(name, "noise"), world))
    assert abs(share - world.chance) < 5 * world.chance_sd


@pytest.mark.parametrize("name", MODELS)
def test_a_retrieval_score_is_the_dot_product_of_its_vectors(name: str) -> None:
    model, asked = fitted(name), everybody()
    if not isinstance(model, RetrievalModel):
        assert not hasattr(model, "encode_user")
        return
    with torch.no_grad():
        users, items = model.encode_user(asked), model.encode_item()
        torch.testing.assert_close(users @ items.T, model.score(asked), **CLOSE)
        codes = torch.tensor([[FIRST, FIRST + 1], [FIRST + 4, FIRST]])
        torch.testing.assert_close(model.encode_item(codes), items[codes], **CLOSE)


@pytest.mark.parametrize("name", [name for name in MODELS if issubclass(resolve.model_class(name), Explains)])
def test_contributions_of_the_history_sum_to_the_score(name: str) -> None:
    model, asked = fitted(name), everybody()
    full = scores(model, asked)
    for item in range(FIRST, full.shape[1], 3):
        items = torch.full((len(asked),), item)
        with torch.no_grad():
            parts = model.contributions(asked, items)
        assert parts.shape == asked.items.shape
        assert not parts[asked.items < FIRST].any()
        sums = torch.zeros(len(asked)).index_add(0, asked.rows, parts)
        speaks = torch.zeros(len(asked)).index_add(0, asked.rows, parts.abs()) > 0
        assert speaks.any()
        torch.testing.assert_close(sums[speaks], full[speaks, item], **CLOSE)
