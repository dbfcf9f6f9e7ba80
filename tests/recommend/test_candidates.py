from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recommend.worlds import Grid, by_hand, codes, ragged, rows_of_codes

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.errors import ConfigError
from tastemaker.models.base import PairModel
from tastemaker.recommend import candidates
from tastemaker.recommend.candidates import choose, retrieve

MODEL = Grid()
patient = settings(deadline=None)


def users(rows: list) -> np.ndarray:
    return np.full(len(rows), UNKNOWN)


@patient
@given(rows_of_codes, st.integers(1, 45), codes, codes)
def test_lists_are_those_of_sorting_by_score_then_code(rows, k, banned, allowed):
    exclude = ragged([sorted(banned)] * len(rows))
    found = retrieve(MODEL, users(rows), ragged(rows), k, exclude=exclude, allowed=np.array(sorted(allowed), int))
    for row, got, scores in zip(rows, found.codes, found.scores, strict=True):
        expected = by_hand(MODEL, row, k, banned, allowed)
        assert got.tolist() == expected + [0] * (k - len(expected))
        assert (scores[len(expected) :] == -np.inf).all()
        vector = MODEL.vectors[row].sum(0)
        assert scores[: len(expected)].tolist() == (MODEL.vectors[expected] @ vector).tolist()


@patient
@given(rows_of_codes, st.integers(1, 10), st.integers(1, 4))
def test_batch_equals_single(rows, k, batch_size):
    together = retrieve(MODEL, users(rows), ragged(rows), k, exclude=ragged(rows), batch_size=batch_size)
    for row, got, scores in zip(rows, together.codes, together.scores, strict=True):
        alone = retrieve(MODEL, users([row]), ragged([row]), k, exclude=ragged([row]))
        assert alone.codes[0].tolist() == got.tolist()
        assert alone.scores[0].tolist() == scores.tolist()


@patient
@given(rows_of_codes, st.integers(1, 20), st.integers(0, 20))
def test_a_longer_list_begins_with_the_shorter_one(rows, k, more):
    short = retrieve(MODEL, users(rows), ragged(rows), k)
    long = retrieve(MODEL, users(rows), ragged(rows), k + more)
    assert long.codes[:, :k].tolist() == short.codes.tolist()


@patient
@given(rows_of_codes)
def test_each_row_has_its_own_exclusions(rows):
    found = retrieve(MODEL, users(rows), ragged(rows), 38, exclude=ragged(rows))
    for row, got in zip(rows, found.codes, strict=True):
        assert set(got[got > 0]) == set(range(FIRST, 40)) - set(row)


def test_pad_and_unknown_are_never_returned_even_when_they_score_best():
    model = Grid()
    model.vectors[:FIRST] = 100.0
    model.vectors[FIRST:] = 1.0
    found = retrieve(model, users([[2]]), ragged([[2]]), 50)
    assert found.codes[0, :38].tolist() == list(range(FIRST, 40))
    assert not found.codes[0, 38:].any()
    only = retrieve(model, users([[2]]), ragged([[2]]), 3, allowed=np.array([0, 1, 7]))
    assert only.codes[0].tolist() == [7, 0, 0]


def test_item_vectors_are_computed_once_a_call():
    model = Grid()
    rows = [[2, 3]] * 20
    retrieve(model, users(rows), ragged(rows), 5, batch_size=3)
    assert model.encoded_items == 1


def test_chunks_cover_every_user_once_and_stay_in_bounds(monkeypatch):
    monkeypatch.setattr(candidates, "_CHUNK_EVENTS", 50)
    lengths = np.random.default_rng(0).integers(0, 70, size=200)
    chunks = list(candidates._chunks(lengths, 7))
    assert sorted(np.concatenate(chunks)) == list(range(200))
    assert max(map(len, chunks)) == 7
    assert all(lengths[chunk].sum() <= 50 or len(chunk) == 1 for chunk in chunks)


def test_the_model_stays_out_of_training_mode_and_without_gradients():
    model = Grid().train()
    found = retrieve(model, users([[2]]), ragged([[2]]), 1)
    assert not model.training
    assert isinstance(found.scores, np.ndarray)
    assert found.codes.dtype == np.int32
    assert found.scores.dtype == np.float32


def test_nobody_asks_nobody_gets():
    found = retrieve(MODEL, np.zeros(0, int), Histories.of([]), 5)
    assert found.codes.shape == (0, 5)


def test_allowing_nothing_returns_nothing():
    found = retrieve(MODEL, users([[2]]), ragged([[2]]), 3, allowed=np.zeros(0, int))
    assert found.codes.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("wrong", [{"k": 0}, {"k": 3, "batch_size": 0}, {"k": 3, "allowed": np.array([40])}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        retrieve(MODEL, users([[2]]), ragged([[2]]), wrong.pop("k"), **wrong)


def test_scores_of_a_model_that_returns_its_own_buffer_leave_the_buffer_alone():
    model = Grid()
    before = model.vectors.clone()
    retrieve(model, users([[2]]), ragged([[2]]), 5, exclude=ragged([[3, 4]]))
    assert torch.equal(model.vectors, before)


@patient
@given(rows_of_codes, st.integers(1, 12), st.integers(0, 99))
def test_a_choice_among_given_items_is_the_list_of_all_without_the_others(rows, k, seed):
    draw = np.random.default_rng(seed)
    own = [
        np.sort(draw.choice(np.arange(FIRST, 44), draw.integers(1, 9), replace=False)) for _ in rows
    ]  # 40…43 are not the model's
    found = choose(MODEL, users(rows), ragged(rows), k, Histories.of(own))
    for row, mine, got, scores in zip(rows, own, found.codes, found.scores, strict=True):
        expected = by_hand(MODEL, row, k, set(), {code for code in mine if code < 40})
        assert got.tolist() == expected + [0] * (k - len(expected))
        assert (scores[len(expected) :] == -np.inf).all()


def test_a_model_of_pairs_chooses_as_one_of_vectors():
    class Pairs(PairModel):
        def score_each(self, query, items):
            return MODEL.score(query).gather(1, items)

    rows = [[2, 3], [], [7, 7, 9]]
    own = Histories.of([[4, 5, 6, 20], [3, 39], [2, 30, 31]])
    one, other = (choose(model, users(rows), ragged(rows), 3, own) for model in (MODEL, Pairs(MODEL.config, MODEL.schema)))
    assert one.codes.tolist() == other.codes.tolist()
    assert one.scores.tolist() == other.scores.tolist()
