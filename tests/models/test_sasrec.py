"""SASRec sees the past, all of it that fits, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker.data import synthetic
from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.sasrec import SASRec
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train


def _model(max_length=6, block="plain"):
    torch.manual_seed(0)
    return SASRec(SASRec.Config(dim=8, max_length=max_length, dropout=0.0, block=block), FeatureSchema(9, 30)).eval()


def _query(*rows):
    return Query.of(np.full(len(rows), 2), Histories.of([list(row) for row in rows]))


@pytest.mark.parametrize("block", ["plain", "ligr"])
def test_asking_after_a_history_equals_training_on_its_next_event(block):
    model = _model(block=block)
    for row in ([3], [3, 4], [3, 4, 5, 6]):
        after = model.encode_user(_query(row))[0]
        torch.testing.assert_close(after, model.encode_before(_query([*row, 7]))[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        pytest.param({}, {"loss": "gbce", "num_negatives": 8}, id="gSASRec"),
        pytest.param(
            {"block": "ligr", "hidden": 4}, {"loss": "softmax", "sampler": "mixed", "num_negatives": 16}, id="eSASRec"
        ),
    ],
)
def test_its_successors_learn_what_comes_next(model, loss):
    world = synthetic.chain(40, 10, 6)
    torch.manual_seed(0)
    fitted = SASRec(SASRec.Config(dim=32, max_length=6, dropout=0.0, **model), world.dataset.schema)
    settings = TrainConfig(epochs=20, learning_rate=0.01, batch_targets=60, device="cpu", threads=1, **loss)
    for _ in train(fitted, world.dataset.interactions, settings):
        pass
    scores = fitted.score(Query.of(world.users, world.histories)).detach().numpy()
    scores[:, :2] = -np.inf
    assert world.hit_share(scores.argsort(axis=1)[:, ::-1][:, :1]) >= 0.95
