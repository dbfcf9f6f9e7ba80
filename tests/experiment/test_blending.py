from dataclasses import replace

import pytest
import torch

from tastemaker.experiment import fit
from tastemaker.experiment.blending import MARGIN, blend, made
from tastemaker.experiment.config import Config
from tastemaker.experiment.stacking import crossed
from tastemaker.experiment.trial import Material, Trial
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender

from .conftest import CONFIG
from .worlds import hits_and_circles


def trial_of(config, material, name, **values):
    other = Config.parse({**CONFIG, "model": {"name": name}})
    trial = Trial.begin(replace(config, model_name=name, model=other.model, train=other.train), material, values)
    list(trial.go())
    return trial


@pytest.fixture(scope="module")
def trials(config, material):
    """Three finished trials, the sequence model first."""
    learned = Trial.begin(config, material, {"train.epochs": 6})
    list(learned.go())
    return [learned, trial_of(config, material, "ease"), trial_of(config, material, "popularity")]


def test_models_that_err_differently_are_blended(config, material):
    halves = [trial_of(config, material, "ease") for _ in range(2)]
    for seed, half in enumerate(halves):
        noise = torch.randn(half.model.weights.shape, generator=torch.Generator().manual_seed(10 + seed))
        half.model.weights = half.model.weights + half.model.weights.std() * noise
        half.metric = material.judge.chooser()(half.model)
    ranked = sorted(halves, key=lambda trial: -trial.metric)
    found = blend(material, ranked)
    assert found is not None
    assert found.metric > ranked[0].metric * (1 + MARGIN)
    assert found.metric == pytest.approx(material.judge.chooser()(found.model), abs=1e-12)
    assert found.trials == tuple(ranked)


def test_a_model_is_not_blended_with_one_that_knows_nothing_more(config, material):
    twins = [trial_of(config, material, "ease") for _ in range(2)]
    assert blend(material, twins) is None


def test_weights_are_learned_where_it_depends_on_the_history_whom_to_believe(config, circle):
    dataset, split = hits_and_circles()
    material = Material.of(config, dataset, split)
    sequence = Trial.begin(config, material, {"train.epochs": 25, "train.batch_targets": 256})
    list(sequence.go())
    ranked = sorted([sequence, trial_of(config, material, "popularity")], key=lambda trial: -trial.metric)
    found = blend(material, ranked)
    assert found is not None
    assert (found.model.config.weights, found.model.config.gate) == ("learned", "length")
    assert found.metric > ranked[0].metric * (1 + MARGIN)
    assert found.metric == pytest.approx(float(crossed(found.model, material.judge).mean()), abs=1e-12)
    assert [part.weight for part in found.model.config.parts] == [1.0, 1.0]


def test_no_blend_is_tried_after_the_time(material, trials):
    assert blend(material, trials, until=0.0) is None


def test_the_config_of_a_blend_trains_to_the_same_scores(config, material, trials):
    blended = made(trials[:2], [1.0, 0.5])
    tree = {**CONFIG, "model": {"name": "blend", **blended.config.model_dump(mode="json")}}
    again = Config.parse(tree, config.base)
    model = fit.build("blend", fit.adapted("blend", again.model, material.split.train, None), material.dataset.schema, seed=9)
    records = list(fit.fit(model, material.split.train, again.train, validate=material.judge.chooser()))
    assert [record.epoch for record in records if record.complete] == [1, 2, 3, 4, 5, 6]
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in blended.state_dict().items())


def test_a_saved_blend_answers_with_reasons_and_bit_for_bit(material, trials, tmp_path):
    saved = Recommender.of(made(trials[:2], [1.0, 0.5]), material.dataset)
    opened = artifact.load(artifact.save(saved, tmp_path / "artifact"))
    for user in ("u1", "u17"):
        one, other = (each.recommend(user, 3, reasons=True) for each in (saved, opened))
        assert [(item.item, item.score) for item in one] == [(item.item, item.score) for item in other]
        assert any(item.reasons for item in other)
    one, other = (each.recommend_history(["i1", "i2"], 3) for each in (saved, opened))
    assert [item.item for item in one] == [item.item for item in other]
    assert len(list(opened.similar("i3", 3))) == 3
