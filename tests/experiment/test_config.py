import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastemaker.errors import ConfigError
from tastemaker.experiment.config import Config, read_config
from tastemaker.settings import expand, to_toml

FIVE_LINES = {"data": {"events": "events.csv"}, "split": {"kind": "leave_last"}, "model": {"name": "sasrec"}}


def test_three_sections_are_enough(tmp_path):
    config = Config.parse(FIVE_LINES, tmp_path)
    assert config.model_name == "sasrec"
    assert config.train.refit is False
    assert config.evaluate.baselines == ("popularity", "item_knn", "ease")


def test_the_resolved_tree_reads_back_as_the_same_config(tmp_path):
    config = Config.parse(FIVE_LINES | {"train": {"learning_rate": 1e-5, "clip": 1.0}}, tmp_path)
    again = Config.parse(tomllib.loads(config.to_toml()), "/elsewhere")
    assert again.to_dict() == config.to_dict()
    assert again.hash == config.hash


def test_paths_start_at_the_config_and_are_resolved_in_what_is_saved(tmp_path):
    (tmp_path / "c.toml").write_text('[data]\nevents = "a/*.csv"\n[model]\nname = "ease"\n')
    assert read_config(tmp_path / "c.toml").to_dict()["data"]["events"] == str(tmp_path / "a/*.csv")


def test_passwords_are_not_saved(tmp_path):
    tree = FIVE_LINES | {"data": {"events": "postgresql://me:secret@host/db#events"}}
    assert "secret" not in Config.parse(tree, tmp_path).to_toml()
    assert "postgresql://me:***@host/db#events" in Config.parse(tree, tmp_path).to_toml()


def test_environment_variables_are_put_in(monkeypatch):
    monkeypatch.setenv("TASTEMAKER_TEST_PLACE", "/data")
    monkeypatch.delenv("TASTEMAKER_TEST_OTHER", raising=False)
    assert expand({"a": ["${TASTEMAKER_TEST_PLACE}/x", 3]}) == {"a": ["/data/x", 3]}
    assert expand("${TASTEMAKER_TEST_OTHER:-/else}/x") == "/else/x"
    with pytest.raises(ConfigError, match=r"TASTEMAKER_TEST_OTHER is not set.*export"):
        expand("${TASTEMAKER_TEST_OTHER}/x")


def test_a_train_setting_has_no_effect_on_a_solved_model_and_is_refused():
    with pytest.raises(ConfigError, match=r"train\.learning_rate.*no effect"):
        Config.parse(FIVE_LINES | {"model": {"name": "ease"}, "train": {"learning_rate": 0.1}})


def test_given_files_without_validation_are_trained_on_again_by_default():
    split = {"kind": "given", "train": "train.csv", "test": "test.csv"}
    tree = {"split": split, "model": {"name": "ease"}}
    assert Config.parse(tree).train.refit is True
    assert Config.parse(tree | {"train": {"refit": False}}).train.refit is False
    assert Config.parse(tree | {"split": split | {"validation": "v.csv"}}).train.refit is False


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"spilt": {}}, r"unknown section 'spilt'.*\[split\]"),
        ({"model": {"name": "easy"}}, "did you mean 'ease'"),
        ({"model": {}}, r"no model\.name"),
        ({"model": 3}, r"expected a section \[model\]"),
        (FIVE_LINES | {"train": {"lerning_rate": 1}}, "did you mean 'learning_rate'"),
        (FIVE_LINES | {"data": {"events": "x", "columns": {"usr": "a"}}}, "did you mean 'user'"),
        (FIVE_LINES | {"train": {"epochs": 0}}, r"train\.epochs = 0"),
    ],
)
def test_mistakes_name_the_place_and_the_nearest_key(tree, said):
    with pytest.raises(ConfigError, match=said):
        Config.parse(tree)


values = st.recursive(
    st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["data", "model", "train"]), st.dictionaries(st.text('ab-_ .é"', min_size=1), values, max_size=4)
    )
)
def test_toml_of_any_tree_reads_back_equal(tree):
    assert tomllib.loads(to_toml(tree)) == tree
