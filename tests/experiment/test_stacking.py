from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tastemaker.data.interactions import Histories
from tastemaker.data.splits import TRAIN, VALIDATION
from tastemaker.data.vocabulary import FIRST, UNKNOWN
from tastemaker.errors import ConfigError
from tastemaker.experiment import api, fit, stacking
from tastemaker.experiment.config import Config, EvaluateSection
from tastemaker.experiment.judge import Judge
from tastemaker.experiment.run import train_run
from tastemaker.models.base import Query
from tastemaker.models.blend import KNOTS, Blend
from tastemaker.train.config import TrainConfig

from .conftest import CONFIG, SASREC
from .worlds import CIRCLE, HITS, hits_and_circles

PARTS = [
    {
        "model": "sasrec",
        "settings": {"dim": 16, "blocks": 1, "max_length": 20, "dropout": 0.0},
        "train": {"epochs": 25, "learning_rate": 0.01, "batch_targets": 256, "device": "cpu", "threads": 1},
    },
    {"model": "popularity"},
]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(*hits_and_circles(), EvaluateSection(metrics=("ndcg",), ks=(5,), bootstrap=0), ratings=False)


@pytest.fixture(scope="module")
def fitted(judge: Judge) -> Blend:
    """The blend of a sequence model and popularity under equal weights."""
    model = fit.build("blend", Blend.Config.parse({"parts": PARTS}), judge.dataset.schema)
    assert isinstance(model, Blend)
    list(fit.fit(model, judge.split.train, TrainConfig()))
    return model


def learned(fitted: Blend, judge: Judge, **settings: object) -> Blend:
    config = Blend.Config.parse({"parts": PARTS, "weights": "learned", **settings})
    model = Blend(config, fitted.schema, fitted.models).eval()
    stacking.learn(model, judge)
    return model


def test_a_gate_trusts_popularity_for_short_histories_and_the_sequence_for_long_ones(fitted: Blend, judge: Judge) -> None:
    model = learned(fitted, judge, gate="length")
    asked = Query.of(np.full(2, UNKNOWN), Histories.of([[FIRST], list(range(FIRST, FIRST + 15))]))
    short, long = (model.knots(asked) @ model.learned).tolist()
    assert short[1] > 1.2 * short[0]  # popularity
    assert long[0] > 2 * long[1]  # the sequence


def test_the_gated_blend_beats_the_ungated_and_each_part_on_the_test_side(fitted: Blend, judge: Judge) -> None:
    def test(model):
        return judge.report(model, "test", judge.split.train).metrics["ndcg@5"]

    gated, plain = test(learned(fitted, judge, gate="length")), test(learned(fitted, judge))
    assert plain > max(test(model) for model in fitted.models) + 0.1
    assert gated > plain + 0.03


def test_the_gradient_is_that_of_the_loss(fitted: Blend, judge: Judge) -> None:
    stack = stacking.Stack.of(learned(fitted, judge, gate="length"), judge)
    rows, rng = torch.arange(len(stack.users)), np.random.default_rng(0)
    weights = rng.random((len(KNOTS), 2))
    _, gradient = stack.loss(weights, rows, 2.0)
    for place in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[place] = 1e-2
        slope = (stack.loss(weights + step, rows, 2.0)[0] - stack.loss(weights - step, rows, 2.0)[0]) / 2e-2
        assert gradient.reshape(weights.shape)[place] == pytest.approx(slope, rel=1e-2, abs=1e-4)


def test_no_other_weights_do_better_and_none_is_below_zero(fitted: Blend, judge: Judge) -> None:
    model = learned(fitted, judge)
    stack, rng = stacking.Stack.of(model, judge), np.random.default_rng(0)
    rows, found = torch.arange(len(stack.users)), model.learned.double().numpy()
    least = stack.loss(found, rows, 1.0)[0]
    assert (found >= 0).all()
    assert all(stack.loss(np.abs(found + rng.normal(0, 0.3, found.shape)), rows, 1.0)[0] >= least - 1e-6 for _ in range(50))


def test_without_users_to_learn_from_parts_count_alike(fitted: Blend, judge: Judge) -> None:
    stack = stacking.Stack.of(learned(fitted, judge, gate="length"), judge)
    assert torch.equal(stack.weights(1.0, np.zeros(len(stack.users), bool)), torch.ones(len(KNOTS), 2))


def test_candidates_are_what_a_list_may_hold_once_each(fitted: Blend, judge: Judge) -> None:
    stack = stacking.Stack.of(learned(fitted, judge), judge)
    seen = judge.choosing().seen.take(stack.users)
    distinct = np.array([len(np.unique(seen.row(row))) for row in range(len(stack.users))])
    assert (stack.allowed.sum(dim=1).numpy() == CIRCLE + HITS - distinct).all()  # so few items that all are candidates
    torch.testing.assert_close(stack.right.sum(dim=1), torch.ones(len(stack.users)))
    assert not (stack.right * ~stack.allowed).any()


def test_crossed_values_judge_each_half_by_the_other(fitted: Blend, judge: Judge) -> None:
    model = learned(fitted, judge, gate="length")
    whole = model.learned.clone()
    values = stacking.crossed(model, judge)
    assert torch.equal(model.learned, whole)
    stack, places = stacking.Stack.of(model, judge), np.arange(len(values))
    model.learned = stack.weights(1.0, stack.users % 2 == 1)
    assert (judge.values()(model)[places % 2 == 0] == values[places % 2 == 0]).all()
    model.learned = stack.weights(1.0, stack.users % 2 == 0)
    assert (judge.values()(model)[places % 2 == 1] == values[places % 2 == 1]).all()


def test_a_run_learns_weights_tells_them_and_keeps_them_when_parts_are_fitted_again(circle, tmp_path) -> None:
    parts = [
        {"model": "sasrec", "settings": {key: SASREC[key] for key in ("dim", "blocks", "max_length")}, "train": {"epochs": 3}},
        {"model": "popularity"},
    ]
    tree = {**CONFIG, "model": {"name": "blend", "parts": parts, "weights": "learned", "gate": "length"}}
    tree["evaluate"] = {**CONFIG["evaluate"], "baselines": []}
    plain = train_run(Config.parse(tree, circle), tmp_path / "plain")
    again = train_run(Config.parse({**tree, "train": {"refit": True}}, circle), tmp_path / "again")
    notes = [next(note for note in run.report["notes"] if "weights learned" in note) for run in (plain, again)]
    assert "at 15 events sasrec" in notes[0]
    assert notes[0] == notes[1]
    one, other = (run.recommender.model for run in (plain, again))
    assert torch.equal(one.learned, other.learned)
    assert len(one.learned) == len(KNOTS)
    assert not torch.equal(one.models[1].counts, other.models[1].counts)


def test_weights_cannot_be_learned_without_a_validation_side(judge: Judge) -> None:
    dataset, split = judge.dataset, judge.split
    with pytest.raises(ConfigError, match="validation"):
        api.train_model("blend", dataset, weights="learned")
    bare = replace(split, label=np.where(split.label == VALIDATION, TRAIN, split.label).astype(np.int8))
    with pytest.raises(ConfigError, match="validation"):
        api.train_model("blend", api.Parts(dataset, bare), weights="learned")
    assert len(api.train_model("blend", api.Parts(dataset, split), weights="learned").model.learned) == 1
