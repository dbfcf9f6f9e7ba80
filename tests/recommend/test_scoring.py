from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.recommend.worlds import Grid, by_hand, ragged

from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.errors import TrainingError
from tastemaker.index.exact import top_k
from tastemaker.models.base import Query
from tastemaker.recommend.candidates import retrieve
from tastemaker.recommend.scoring import Scoring

ITEMS, NEW = 20_000, 300


@cache
def model() -> Grid:
    return Grid(ITEMS)


def weights(seed: int, newcomers: int = NEW) -> sp.csr_matrix:
    """Two known items for each newcomer, at a quarter each, so that sums stay exact; every fifth has none."""
    draw = np.random.default_rng(seed)
    rows = np.repeat(np.flatnonzero(np.arange(newcomers) % 5), 2)
    cells = (np.full(len(rows), 0.25, np.float32), (rows, draw.integers(FIRST, ITEMS, len(rows))))
    return sp.csr_matrix(cells, shape=(newcomers, ITEMS), dtype=np.float32)


def query(rows: list[list[int]]) -> Query:
    return Query.of(np.full(len(rows), UNKNOWN), ragged(rows))


def test_the_best_of_a_large_catalogue_are_those_of_all_its_scores_newcomers_and_ties_included():
    draw = np.random.default_rng(0)
    scoring = Scoring(model(), weights(1))
    assert scoring.searches
    rows = [draw.integers(FIRST, ITEMS, size).tolist() for size in (0, 1, 5, 40)]
    closed = [None, *(torch.from_numpy(draw.random(scoring.size) < share) for share in (0.3, 0.9, 0.9999))]
    banned = [draw.integers(0, scoring.size, size) for size in (0, 30, 5, 30)]
    with torch.inference_mode():
        lines = scoring(query(rows))
        for row, shut in enumerate(closed):
            if shut is not None:
                lines[row, shut] = -torch.inf
        bans = torch.from_numpy(np.repeat(np.arange(4), [len(one) for one in banned])), torch.from_numpy(np.concatenate(banned))
        for k in (1, 10, 700):
            values, codes = scoring.best(query(rows), k, closed, banned)
            expected = top_k(lines, k, *bans)
            # the mean that newcomers lean on is no sum of small integers
            np.testing.assert_allclose(values, expected[0].numpy(), rtol=1e-5, atol=1e-4)
            known = codes < ITEMS
            assert (codes == expected[1].numpy())[known].mean() > 0.99


def test_retrieval_from_a_large_catalogue_is_by_score_then_code_whoever_asks_beside():
    draw = np.random.default_rng(1)
    rows = [draw.integers(FIRST, ITEMS, 4).tolist() for _ in range(5)]
    together = retrieve(model(), np.full(5, UNKNOWN), ragged(rows), 12, exclude=ragged(rows))
    for row, codes, scores in zip(rows, together.codes, together.scores, strict=True):
        assert codes.tolist() == by_hand(model(), row, 12, set(row), set(range(ITEMS)))
        alone = retrieve(model(), np.array([UNKNOWN]), ragged([row]), 12, exclude=ragged([row]))
        assert (alone.codes[0].tolist(), alone.scores[0].tolist()) == (codes.tolist(), scores.tolist())


def test_other_newcomers_take_over_the_work_on_known_items():
    before = Scoring(model(), weights(1))
    count = model().encoded_items
    grown, anew = Scoring(model(), weights(2, 2 * NEW), like=before), Scoring(model(), weights(2, 2 * NEW))
    assert model().encoded_items == count + 1  # for the one made anew
    assert grown.vectors is not None and anew.vectors is not None
    assert torch.equal(grown.vectors, anew.vectors)
    asked, none = query([[5, 9, 1000]]), [np.zeros(0, np.int64)]
    with torch.inference_mode():
        found, expected = (scoring.best(asked, 20, [None], none) for scoring in (grown, anew))
    assert (found[1].tolist(), found[0].tolist()) == (expected[1].tolist(), expected[0].tolist())
    assert not Scoring(model(), None, like=grown).newcomers


def test_a_user_who_is_no_number_is_an_error_and_one_who_is_out_of_measure_is_scored_in_float32(monkeypatch):
    scoring = Scoring(model())
    none = [np.zeros(0, np.int64)]
    for value in (float("nan"), 1e35):
        monkeypatch.setattr(model(), "encode_user", lambda query, value=value: torch.full((1, 3), value))
        with torch.inference_mode():
            if value != value:
                with pytest.raises(TrainingError):
                    scoring.best(query([[5]]), 3, [None], none)
            else:
                closed = torch.zeros(ITEMS, dtype=torch.bool)
                closed[: ITEMS // 2] = True
                _, codes = scoring.best(query([[5]]), 3, [closed], none)
                assert codes[0].tolist() == top_k((scoring(query([[5]]))).masked_fill(closed, -torch.inf), 3)[1][0].tolist()


def test_small_catalogues_and_models_without_vectors_are_scored_whole():
    assert not Scoring(Grid(40)).searches
