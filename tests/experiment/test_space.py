import numpy as np
import pytest

from tastemaker.errors import ConfigError
from tastemaker.experiment.config import Config
from tastemaker.experiment.space import Range, applied, default_space, drawn, told
from tastemaker.experiment.trial import resolved
from tastemaker.resolve import model_names


def asked(tune, model="sasrec", **sections):
    return Config.parse({"model": {"name": model}, "tune": tune, **sections})


def test_a_section_of_ranges_and_choices_is_read_however_it_is_nested():
    flat = asked({"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "model.dim": [16, 32]})
    nested = asked({"train": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}, "model": {"dim": [16, 32]}})
    assert flat.tune == nested.tune == {"train.learning_rate": Range(low=1e-4, high=1e-2, log=True), "model.dim": (16, 32)}


@pytest.mark.parametrize(
    ("tune", "named"),
    [
        ({"model.dims": [16, 32]}, "'model.dim'"),
        ({"train.learning_rat": [0.1, 0.2]}, r"'train\.learning_rate'"),
        ({"train": {"threads": [1, 2]}}, "cannot be searched"),
        ({"data.min_per_user": [1, 2]}, "cannot be searched"),
        ({"model.dim": [0, 16]}, r"model\.dim: 0"),
        ({"model.dim": {"low": 1.5, "high": 4}}, "whole numbers"),
        ({"model.dropout": {"low": 0.5, "high": 0.1}}, "low below high"),
        ({"model.dropout": {"low": 0.0, "high": 1.0}}, "less than 1"),
        ({"train.learning_rate": {"low": 0.0, "high": 1.0, "log": True}}, "low above 0"),
        ({"train.learning_rate": {"lo": 0.1, "high": 1.0}}, r"learning_rate\.low"),
        ({"train.loss": ["bpr", "bpa"]}, "not 'bpa'"),
        ({"train.loss": {"low": 1, "high": 2}}, "is no number"),
        ({"model.dim": 16}, "a list of two or more"),
        ({"model.dim": [16]}, "a list of two or more"),
    ],
)
def test_a_mistake_in_the_section_is_named_when_it_is_read(tune, named):
    with pytest.raises(ConfigError, match=named):
        asked(tune)


def test_a_solved_model_has_no_training_to_search():
    with pytest.raises(ConfigError, match=r"train\.learning_rate"):
        asked({"train.learning_rate": [0.1, 0.2]}, "ease")


def test_the_section_is_no_part_of_what_a_run_is():
    assert asked({"model.dim": [16, 32]}).hash == asked({}).hash
    assert "tune" not in asked({"model.dim": [16, 32]}).to_dict()


@pytest.mark.parametrize("name", [name for name in model_names() if name != "blend"])
def test_every_model_has_a_space_of_its_own_whose_values_it_takes(name, material):
    config = resolved(Config.parse({"model": {"name": name}}), material)
    space, rng = default_space(config), np.random.default_rng(0)
    assert 0 < len(space) <= 8
    assert len(told(space)) == len(space)
    for _ in range(20):
        values = drawn(space, rng)
        again = applied(config, values)
        for setting, value in values.items():
            section, _, key = setting.partition(".")
            assert getattr(getattr(again, section), key) == pytest.approx(value, abs=0.5 if isinstance(value, float) else 0)
            if isinstance(space[setting], Range):
                assert space[setting].low <= value <= space[setting].high


def test_the_space_lies_around_what_the_config_says(material):
    low, high = (
        default_space(resolved(Config.parse({"model": {"name": "sasrec", "dim": dim}}), material))["model.dim"]
        for dim in (8, 64)
    )
    assert (low, high) == ((4, 8, 16), (32, 64, 128))


def test_what_would_have_no_effect_is_not_searched():
    cosine, jaccard = (Config.parse({"model": {"name": "item_knn", "similarity": name}}) for name in ("cosine", "jaccard"))
    assert "model.asymmetry" in default_space(cosine)
    assert "model.asymmetry" not in default_space(jaccard)


def test_days_are_searched_only_where_there_are_times():
    config = Config.parse({"model": {"name": "popularity"}})
    assert default_space(config) and not default_space(config, has_times=False)


def test_values_that_do_not_fit_each_other_are_refused():
    with pytest.raises(ConfigError, match="asymmetry"):
        applied(Config.parse({"model": {"name": "item_knn"}}), {"model.similarity": "jaccard", "model.asymmetry": 0.5})
