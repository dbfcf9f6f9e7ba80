import pytest

from tastemaker.experiment.config import read_config


@pytest.fixture(scope="module")
def tuned(shop):
    """What `tune` says of a search over two settings of the shop's model."""
    settings = ["--set", "tune.model.dim=[4,8]", "--set", "tune.train.learning_rate={low=1e-3,high=0.03,log=true}"]
    return shop.json("tune", shop.config, *settings, "--trials", 3, "--out", shop.folder / "search")


def test_tune_json_is_one_object_with_the_promised_keys(shop, tuned):
    assert list(tuned) == ["tuning", "folder", "config", "metric", "best", "trials", "importances", "interrupted"]
    assert (tuned["tuning"], tuned["metric"], tuned["interrupted"]) == ("search", "ndcg@5", False)
    assert [one["metric"] for one in tuned["trials"]] == sorted((one["metric"] for one in tuned["trials"]), reverse=True)
    assert tuned["best"] == tuned["trials"][0]
    assert set(tuned["best"]["settings"]) == {"model.dim", "train.learning_rate"}


def test_train_takes_what_tune_wrote(shop, tuned):
    found = shop.json("train", tuned["config"], "--set", "evaluate.baselines=[]", "--out", shop.folder / "best")
    assert found["validation"]["ndcg@5"] == pytest.approx(tuned["best"]["metric"], abs=1e-6)
    assert read_config(tuned["config"]).model.dim == tuned["best"]["settings"]["model.dim"]


def test_runs_leaves_trials_out_unless_they_are_asked_for(shop, tuned):
    assert all(row["tuning"] == "" for row in shop.json("runs")["runs"])
    rows = shop.json("runs", "--tuning", "search")["runs"]
    assert [(row["tuning"], row["status"], row["test"]) for row in rows] == [("search", "finished", {})] * 3
    assert "search" in shop.call("runs").stdout
    assert "validation ndcg@5" in shop.call("runs", "--tuning", "search").stdout


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--minutes"),
        (["--trials", "1", "--set", "tune.model.dims=[4,8]"], "'model.dim'"),
        (["--trials", "1", "--resume", "--out", "nowhere"], "no search"),
    ],
)
def test_a_mistake_in_what_tune_is_asked_is_named(shop, arguments, named):
    result = shop.call("tune", shop.config, *arguments)
    assert result.exit_code == 2, result.output
    assert named in result.stderr


def test_auto_makes_a_run_of_bare_events_and_tells_what_it_tried(shop):
    out = shop.folder / "auto"
    settings = ["--set", "split.kind=leave_last", "--set", "evaluate.bootstrap=20"]
    result = shop.call("train", shop.folder / "events.csv", "--auto", "--minutes", 0.1, *settings, "--out", out)
    assert result.exit_code == 0, result.output
    for part in ("candidate", "popularity", "item_knn", "ease", "on validation", "Test:", str(out / "artifact")):
        assert part in result.stdout
    assert "40 users and 12 items" in result.stderr
    assert shop.call("recommend", out / "artifact", "--user", "u3", "--reasons").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--auto"], "[model]"),
        (["--minutes", "3"], "--auto"),
        (["--auto", "--resume"], "--resume"),
        (["--auto", "--store", "shop.db"], "--store"),
    ],
)
def test_a_mistake_in_what_auto_is_asked_is_named(shop, arguments, named):
    result = shop.call("train", shop.config, *arguments)
    assert result.exit_code == 2, result.output
    assert named in result.stderr
