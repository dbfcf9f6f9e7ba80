"""AutoRec is the paper's autoencoder of items, recovers planted ratings, and folds in users it has never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data import synthetic
from tastemaker.data.interactions import Histories, Interactions
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.autorec import AutoRec
from tastemaker.models.base import Query
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train


def rows(user, item, value) -> Interactions:
    n = len(user)
    return Interactions(
        np.asarray(user, np.int32),
        np.asarray(item, np.int32),
        np.arange(n),
        np.asarray(value, np.float32),
        np.zeros(n, np.int8),
        np.full(n, -1, np.int8),
    )


RATED = rows([2, 2, 3, 3, 4, 4, 4], [2, 3, 2, 2, 3, 4, 5], [5, 3, 1, 2, 4, 4, 1])
"""User 3 rated item 2 twice: the second counts."""


def model(**settings: object) -> AutoRec:
    torch.manual_seed(0)
    made = AutoRec(AutoRec.Config.parse({"hidden": 4, **settings}), FeatureSchema(7, 8))
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_()
    made.observe(RATED)
    return made


def test_scores_are_the_papers_reconstruction_of_each_items_ratings() -> None:
    made = model().eval()
    mean = 20 / 7
    table = torch.zeros(8, 7)
    for user, item, value in ((2, 2, 5), (2, 3, 3), (3, 2, 2), (4, 3, 4), (4, 4, 4), (4, 5, 1)):
        table[item, user] = value - mean
    hidden = torch.sigmoid(table @ made.input + made.input_bias)
    expected = (hidden @ made.output.T + made.output_bias).T + mean
    found = made.score(Query.of(np.array([2, 3, 4]), Histories.of([[], [], []])))
    torch.testing.assert_close(found, expected[[2, 3, 4]])


def test_a_training_step_reads_only_the_asked_items_and_gives_the_same_vectors() -> None:
    made = model(dropout=0.0, hidden_dropout=0.0)
    codes = torch.tensor([5, 2, 2, 7])
    asked = made.train().encode_item(codes)
    torch.testing.assert_close(asked, made.encode_item()[codes])
    torch.testing.assert_close(asked, made.eval().encode_item(codes))


def test_planted_ratings_are_recovered_better_than_biases_alone_could() -> None:
    world = synthetic.planted_bias(120, 60, density=0.6, factor=0.6)
    torch.manual_seed(0)
    made = AutoRec(AutoRec.Config(hidden=16), world.dataset.schema)
    config = TrainConfig(loss="squared_error", epochs=250, learning_rate=0.01, batch_targets=4096, weight_decay=1e-4)
    list(train(made, world.dataset.interactions, config))
    shown = np.zeros_like(world.expected, dtype=bool)
    shown[world.dataset.interactions.user, world.dataset.interactions.item] = True
    user, item = np.nonzero(~shown[2:, 2:])
    asked = Query.of(user + 2, Histories.of([[]] * len(user)))
    with torch.no_grad():
        predicted = made.score_each(asked, torch.from_numpy(item + 2)).numpy()
    errors = predicted - world.expected[user + 2, item + 2]
    assert np.sqrt((errors**2).mean()) < 0.35  # the biases alone leave .6


@pytest.mark.parametrize("history", [[2, 3, 5], [4], [3, 5, 2, 4, 6, 7, 2]])
def test_a_stranger_is_the_ridge_solution_of_their_ratings_around_the_mean_user(history: list[int]) -> None:
    made = model(fold_in_regularization=0.7).eval()
    ratings = np.linspace(1, 5, len(history)).astype(np.float32)
    base = Histories.of([[3], history])
    query = Query.of(np.array([2, 1]), Histories(base.items, base.times, np.r_[np.float32(1), ratings], base.offsets))
    table = made.encode_item().detach()
    mean = 20 / 7
    usual = torch.cat([made.output, made.output_bias[:, None]], 1)[2:5].mean(0)
    seen = table[history]
    left = torch.from_numpy(ratings) - mean - seen @ usual
    weights = usual + torch.linalg.solve(seen.T @ seen + 0.7 * torch.eye(5), seen.T @ left)
    found = made.score(query).detach()
    torch.testing.assert_close(found[1], table @ weights + mean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found[0], made.score(Query.of(np.array([2]), Histories.of([[]])))[0].detach())


def test_predictions_stay_inside_the_range_of_values_seen() -> None:
    made = model().eval()
    with torch.no_grad():
        made.output_bias += 100.0
    assert float(made.score_each(Query.of(np.array([2]), Histories.of([[]])), torch.tensor([3])).detach()) == 5.0


def test_vectors_kept_in_inference_mode_serve_outside_of_it() -> None:
    made = model().eval()
    asked = Query.of(np.array([2]), Histories.of([[]]))
    with torch.inference_mode():
        first = made.score(asked)
    assert torch.equal(made.score(asked).detach(), first)
