from dataclasses import replace

import pytest
import torch

from tastemaker.data.splits import VALIDATION
from tastemaker.errors import ConfigError, DataError
from tastemaker.experiment import fit
from tastemaker.experiment.config import Config
from tastemaker.experiment.trial import Material, Trial

from .conftest import CONFIG


def weights(trial):
    return {name: value.clone() for name, value in trial.model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def to_the_end(trial):
    return list(trial.go())


def test_going_on_in_turns_ends_with_the_weights_of_each_alone(config, material):
    alone = [Trial.begin(config, material, {"train.seed": seed}) for seed in (0, 1)]
    turns = [Trial.begin(config, material, {"train.seed": seed}) for seed in (0, 1)]
    for trial in alone:
        to_the_end(trial)
    for epoch in (1, 2, 2, 4):
        for trial in turns:
            list(trial.go(epoch))
            assert trial.epochs == epoch
    for one, other in zip(alone, turns, strict=True):
        to_the_end(other)
        assert one.finished and other.finished
        assert same(weights(one), weights(other))
        assert (one.metric, one.best_epoch) == (other.metric, other.best_epoch)


def test_a_trial_knows_its_best_and_how_sure_it_is(config, material):
    trial = Trial.begin(config, material)
    metrics = [record.metric for record in trial.go() if record.complete]
    assert trial.metric == max(metrics) == pytest.approx(material.judge.chooser()(trial.model), abs=1e-12)
    assert trial.best_epoch == 1 + metrics.index(max(metrics))
    assert 0 < trial.spread < 0.5


def test_a_trial_that_is_closed_early_keeps_the_best_weights_it_had(config, material):
    trial = Trial.begin(config, material, {"train.learning_rate": 0.5, "train.epochs": 20})
    kept = None
    for record in trial.go(6):
        if record.complete and record.best_epoch == record.epoch:
            kept = weights(trial)
    assert trial.best_epoch < trial.epochs == 6  # so large a step does harm at last
    assert not same(weights(trial), kept)
    trial.close()
    assert same(weights(trial), kept)
    assert to_the_end(trial) == [] and trial.epochs == 6


def test_a_trial_stops_at_the_moment_given(config, material):
    trial = Trial.begin(config, material)
    assert len(list(trial.go(until=0.0))) == 1
    assert not trial.finished


def test_a_solved_model_is_done_in_one_step(config, material):
    trial = Trial.begin(replace(config, **vars_of("ease")), material, {"model.regularization": 3.0})
    assert to_the_end(trial) == []
    assert (trial.finished, trial.epochs, trial.config.model.regularization) == (True, 0, 3.0)
    assert trial.metric == pytest.approx(material.judge.chooser()(trial.model), abs=1e-12)


def test_a_trial_is_the_training_that_a_run_of_its_config_is(config, material):
    trial = Trial.begin(config, material)
    to_the_end(trial)
    again = Config.parse({**CONFIG, **trial.config.to_dict()}, config.base)
    model = fit.build(again.model_name, again.model, material.dataset.schema, again.train.seed)
    for _ in fit.fit(model, material.split.train, again.train, validate=material.judge.chooser()):
        pass
    assert same(weights(trial), dict(model.state_dict()))


def test_values_that_do_not_fit_are_refused_before_anything_is_trained(config, material):
    with pytest.raises(ConfigError, match="dim"):
        Trial.begin(config, material, {"model.dim": -3})


def test_without_a_validation_side_nothing_can_be_tried(config, material):
    parts = material.split
    with pytest.raises(DataError, match="no validation side"):
        Material.of(config, material.dataset, replace(parts, label=parts.label * (parts.label != VALIDATION)))


def vars_of(name):
    other = Config.parse({**CONFIG, "model": {"name": name}})
    return {"model_name": name, "model": other.model, "train": other.train}
