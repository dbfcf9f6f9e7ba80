from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data.item_contents import FusionSettings, ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.nn.entity import EntityEncoder, content_table, init_table, item_table

TRAINED = np.array([False, False, True, True, True, False, True])


def contents(rows: int = 7, seed: int = 0, **given: object) -> ItemContents:
    rng = np.random.default_rng(seed)
    present = {"text": np.arange(rows) >= 2, "image": np.arange(rows) % 2 == 0}
    values = {"text": rng.normal(3, 2, (rows, 6)).astype(np.float32), "image": rng.normal(size=(rows, 4)).astype(np.float32)}
    return ItemContents(values, present, FusionSettings.parse(given))


def table(**given: object) -> EntityEncoder:
    torch.manual_seed(0)
    told = contents(**given)
    made = item_table(FeatureSchema(3, 7, told.schema), 8)
    assert isinstance(made, EntityEncoder)
    made.set(told, TRAINED)
    return made.eval()


def test_without_contents_it_is_a_plain_table() -> None:
    assert isinstance(item_table(FeatureSchema(3, 7), 8), torch.nn.Embedding)
    assert isinstance(content_table(FeatureSchema(3, 7), 8), torch.nn.Embedding)


def test_rows_are_looked_up_as_in_a_table_with_and_without_gradients() -> None:
    made, codes = table(), torch.tensor([[2, 5], [6, 2]])
    with torch.no_grad():
        whole = made.weight
        assert made.weight is whole  # made once
        torch.testing.assert_close(made(codes), whole[codes])
    torch.testing.assert_close(made(codes), whole[codes])
    made.forget()
    torch.testing.assert_close(made(codes), whole[codes])


def test_contents_are_centred_and_of_length_one_over_those_that_have_them() -> None:
    made = table()
    text = made.contents_0[2:]
    torch.testing.assert_close(text.mean(0), torch.zeros(6), atol=1e-6, rtol=0)
    assert text.square().sum(1).mean() == pytest.approx(1, abs=1e-5)
    assert not made.contents_0[:2].any()


def test_an_item_without_training_events_has_no_vector_of_its_own() -> None:
    made = table()
    with torch.no_grad():
        before = made.weight.clone()
        made.own.weight += 1.0
        made.forget()
        moved = (made.weight - before).abs().sum(1) > 0
    assert moved.tolist() == TRAINED.tolist()


def test_ids_can_be_left_out() -> None:
    assert table(ids=False).own is None
    told = FeatureSchema(3, 7, contents().schema)
    made = content_table(told, 8)
    assert isinstance(made, EntityEncoder) and made.own is None
    init_table(made, 0.1)  # nothing to do, and nothing breaks


def test_in_training_own_vectors_are_hidden_where_contents_can_stand_in() -> None:
    made = table(id_dropout=0.5).train()
    with torch.no_grad():
        made.own.weight.fill_(100.0)
        found = torch.stack([(made.forget(), made.weight.mean(1))[1] for _ in range(200)])
    shown = found > 50
    assert 0.4 < shown[:, [2, 4, 6]].float().mean() < 0.6
    assert shown[:, 3].any() and not shown[:, 5].any()


def test_rows_are_made_once_a_training_step_and_anew_in_the_next() -> None:
    made = table(id_dropout=0.5).train()
    assert made.weight is made.weight
    first = made.weight
    made.forget()
    assert made.weight is not first


def test_a_grown_table_begins_with_the_old_rows_and_shares_its_weights() -> None:
    made, more = table(), contents(3, seed=1)
    grown = made.grown(more)
    with torch.no_grad():
        assert torch.equal(grown.weight[:7], made.weight)
        assert grown.weight.shape == (10, 8)
        expected = made.fused(
            [made._scaled(place, more.values[name], more.present[name]) for place, name in enumerate(more.values)],
            grown.there[7:],
        )
        torch.testing.assert_close(grown.weight[7:], expected)
        assert len(made) == 7
    assert grown.fused is made.fused
    assert not grown.trained[7:].any()


def test_a_state_is_loaded_into_a_fresh_table_of_any_number_of_rows() -> None:
    made = table()
    grown = made.grown(contents(3, seed=1))
    fresh = EntityEncoder(10, 8, contents().schema).eval()
    fresh.load_state_dict(grown.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh.weight, grown.weight)


def test_own_vectors_count_by_how_many_events_they_were_learned_from() -> None:
    told, counts = contents(7), np.array([0, 0, 0, 1, 4, 12, 0])
    plain, warm = (EntityEncoder(7, 8, contents(7, warm_up=k).schema).eval() for k in (0.0, 4.0))
    warm.load_state_dict(plain.state_dict(), strict=False)
    for table in (plain, warm):
        table.set(told, counts)
    with torch.no_grad():
        content = plain.contents_of(torch.arange(7))
        own = torch.where(torch.from_numpy(counts > 0).unsqueeze(1), plain.own.weight, 0.0)
        share = torch.from_numpy(counts / (counts + 4.0)).float().unsqueeze(1)
        torch.testing.assert_close(plain.weight, content + own)
        torch.testing.assert_close(warm.weight, content + share * own)
        torch.testing.assert_close(warm.own_share, share.squeeze(1))
        torch.testing.assert_close(warm.only(contents(2), np.array([4, 0])).own_share, torch.tensor([0.5, 0.0]))
        assert torch.equal(warm.grown(contents(2, seed=1)).weight[:7], warm.weight)
        fresh = EntityEncoder(7, 8, warm.schema).eval()
        fresh.load_state_dict(warm.state_dict())
        assert torch.equal(fresh.weight, warm.weight)
        torch.testing.assert_close(
            warm.train().own_share, torch.from_numpy(counts > 0).float()
        )  # while training it counts in full


@pytest.mark.parametrize("events", [1, 3, 5])
def test_few_events_rank_better_with_contents_than_either_alone(events: int) -> None:
    """A planted world: what suits whom is told by contents in part; an own vector is the rest, blurred as much as its events are few."""
    rng = np.random.default_rng(events)
    rows, dim, users = 400, 8, 200
    told = rng.normal(size=(rows, dim)).astype(np.float32)
    rest = rng.normal(size=(rows, dim)).astype(np.float32)
    learned = rest + rng.normal(size=(rows, dim)) * 3 / np.sqrt(events)  # what `events` noisy users say
    people = rng.normal(size=(users, dim))
    truth = people @ (told + rest).T

    def ranked(contents_count: bool, own_counts: bool, k: float) -> float:
        settings = FusionSettings.parse({"warm_up": k})
        given = ItemContents({"x": told}, {"x": np.full(rows, contents_count)}, settings)
        made = EntityEncoder(rows, dim, given.schema).eval()
        made.set(given, np.full(rows, events * own_counts))
        with torch.no_grad():
            made.own.weight.copy_(torch.from_numpy(learned).float())
            made.fused.projections[0].weight.copy_(torch.eye(dim) / made.scale_0)
            made.fused.fusion.value.zero_()  # the linear path alone
            made.forget()
            scores = people @ made.weight.numpy().T
        return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(scores, truth, strict=True)]))

    both = ranked(True, True, 9.0)
    assert both > max(ranked(True, False, 0.0), ranked(False, True, 0.0), ranked(True, True, 0.0)) + 0.01
