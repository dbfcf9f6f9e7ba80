"""Models of baskets serve users who are held out whole: what they did so far is folded in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker import resolve
from tastemaker.data import synthetic
from tastemaker.data.splits import by_user
from tastemaker.data.vocabulary import UNKNOWN
from tastemaker.experiment.config import EvaluateSection
from tastemaker.experiment.judge import Judge
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train

MODELS = [name for name in resolve.model_names() if resolve.model_class(name).learns_from == "baskets"]


def test_there_are_such_models() -> None:
    assert {"dae", "multvae", "recvae"} <= set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_held_out_users_get_the_rest_of_their_taste(name: str) -> None:
    world = synthetic.two_tastes(160, 40)
    split = by_user(world.dataset.interactions, test_share=0.2, validation_share=0.1, generator=np.random.default_rng(0))
    kind = resolve.model_class(name)
    torch.manual_seed(0)
    model = kind(kind.Config(), world.dataset.schema)
    list(train(model, split.train, TrainConfig(epochs=8, learning_rate=0.01, batch_targets=128, device="cpu", threads=1)))
    judge = Judge(world.dataset, split, EvaluateSection(metrics=("recall",), ks=(6,), select="recall@6"), ratings=False)
    asked = judge.questions("test")
    assert not asked.trained.any()
    assert (asked.asked_as == UNKNOWN).all()
    # 6 of the 20 items of a taste are left after 14 known ones; a list by chance would find 6 of 26
    assert judge.report(model, "test", split.train).metrics["recall@6"] > 0.95
