import json
import time
from dataclasses import replace

import pytest

from tastemaker.errors import ConfigError
from tastemaker.experiment.auto import read_auto, train_auto
from tastemaker.experiment.candidates import CANDIDATES, Candidate, Look
from tastemaker.experiment.config import read_config
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.run import train_run
from tastemaker.experiment.search import Search
from tastemaker.recommend import artifact
from tastemaker.resolve import model_class, model_names

from .conftest import CONFIG


@pytest.fixture(scope="module")
def run(circle, tmp_path_factory):
    """What `--auto` makes of the circle with some of the models, and what it told."""
    folder, told = tmp_path_factory.mktemp("auto"), []
    small = Candidate("sasrec", settings=({"dim": 8, "blocks": 1},))
    candidates = [*(one for one in CANDIDATES if one.name in ("popularity", "item_knn", "ease")), small]
    result = train_auto(
        CONFIG,
        circle,
        minutes=1,
        out=folder / "run",
        tell=lambda *what: told.append(what),
        candidates=candidates,
        ledger=Ledger(folder),
    )
    return result, told


def test_the_winner_is_the_best_of_all_on_validation_and_the_account_says_why(run):
    search = run[0].report["search"]
    tried = [one for one in search["tried"] if one["metric"] is not None]
    assert {"popularity", "item_knn", "ease"} <= {one["model"] for one in tried}
    assert tried == sorted(tried, key=lambda one: -one["metric"])
    personal = [one for one in tried if one["model"] != "popularity"]
    assert run[0].report["model"] == personal[0]["model"]
    assert run[0].report["validation"]["metrics"]["ndcg@5"] == pytest.approx(personal[0]["metric"], abs=1e-9)
    assert search["why"].startswith("ndcg@5 on validation: ")
    assert search["data"]["events"] == run[0].report["protocol"]["train_rows"]


def test_the_run_is_one_like_any_other(run):
    result, _ = run
    assert Ledger(result.folder.parent).find(result.id).status == "finished"
    assert {"config.toml", "report.json", "reports", "artifact", "log.txt"} <= {path.name for path in result.folder.iterdir()}
    assert len(list(artifact.load(result.artifact).recommend("u3", 4))) == 4
    assert set(result.report["baselines"]) == {"popularity", "item_knn", "ease"}
    assert set(result.tests()) == {"model", "popularity", "item_knn", "ease"}
    json.dumps(result.report, allow_nan=False)


def test_training_with_the_config_of_the_run_repeats_it(run, tmp_path):
    result, _ = run
    if any("for want of time" in note for note in result.report["notes"]):
        pytest.skip("the machine is too busy for the seconds given")
    again = train_run(read_config(result.folder / "config.toml"), tmp_path / "again", ledger=Ledger(tmp_path))
    assert again.report["test"]["metrics"] == pytest.approx(result.report["test"]["metrics"], abs=1e-6)


def test_it_is_told_how_far_it_is(run):
    shares = [share for share, _, _ in run[1]]
    assert shares == sorted(shares)
    lines = [line for _, _, line in run[1] if line]
    assert lines[0].startswith("40 users and 12 items")
    assert any(line.startswith("popularity:") for line in lines)


def test_a_bare_source_is_split_by_time_where_there_are_times(circle, tmp_path):
    tree, base = read_auto(str(circle / "events.csv"), ["evaluate.baselines=[]", "evaluate.bootstrap=0"])
    timed = train_auto(tree, base, minutes=0.05, out=tmp_path / "timed", ledger=Ledger(tmp_path))
    assert timed.report["protocol"]["split"]["kind"] == "by_time"
    rows = [line.rpartition(",")[0] for line in (circle / "events.csv").read_text().splitlines()]
    (tmp_path / "timeless.csv").write_text("\n".join(rows) + "\n")
    tree, base = read_auto(str(tmp_path / "timeless.csv"), ["evaluate.baselines=[]", "evaluate.bootstrap=0"])
    timeless = train_auto(tree, base, minutes=0.05, out=tmp_path / "timeless", ledger=Ledger(tmp_path))
    assert timeless.report["protocol"]["split"]["kind"] == "leave_last"
    assert not any("days" in key for one in timeless.report["search"]["tried"] for key in one["settings"])


def test_ctrl_c_takes_what_is_best_until_then(circle, tmp_path):
    def tell(share, state, line):
        if line.startswith("ease"):
            raise KeyboardInterrupt

    result = train_auto(CONFIG, circle, minutes=5, out=tmp_path / "run", tell=tell, ledger=Ledger(tmp_path))
    assert result.report["model"] in ("item_knn", "ease")


def test_a_model_whose_epochs_do_not_fit_is_given_up_early(config, material):
    search = Search(config, material, config.train, time.monotonic() - 99.0, 100.0, lambda *what: None)
    assert search._planned(Candidate("sasrec"), 1) is None
    (line,) = search.lines
    assert line.model == "sasrec"
    assert line.epochs <= 2
    assert "3 would take" in line.why


def test_the_better_half_goes_on(config, material):
    search = Search(config, material, config.train, time.monotonic(), 600.0, lambda *what: None)
    begun = [
        search._begin("sasrec", {"model.dim": 8, "train.epochs": 8, "train.learning_rate": rate})
        for rate in (1e-6, 1e-2, 1e-7, 3e-2)
    ]
    search._halve([trial for trial in begun if trial is not None], 1)
    ended = {line.settings["learning_rate"]: line for line in search.lines}
    assert ended[1e-6].epochs < 8 and ended[1e-7].epochs < 8
    assert sum(line.epochs == 8 for line in search.lines) == 1
    assert search.kept["sasrec"].asked["train.learning_rate"] in (1e-2, 3e-2)


def test_candidates_are_models_of_the_folder_and_the_simple_ones_come_first():
    names = [candidate.name for candidate in CANDIDATES]
    assert set(names) <= set(model_names())
    assert {"popularity", "item_knn", "ease"} <= set(names)
    solved = [candidate.solved for candidate in CANDIDATES]
    assert solved == sorted(solved, reverse=True)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_a_candidate_begins_with_settings_that_its_model_has(candidate):
    kind = model_class(candidate.name).Config
    for settings in candidate.settings:
        assert kind.parse(settings, "model").model_dump(include=set(settings)) == settings


def test_candidates_are_left_out_where_the_data_does_not_suit_them(material):
    look = Look.at(material.dataset, material.split)
    assert (look.users, look.items, look.events, look.ordered) == (40, 12, len(material.split.train), True)
    by_name = {candidate.name: candidate for candidate in CANDIDATES}
    assert look.content == ()
    assert "nothing is known of the items" in by_name["content_knn"].reason_against(look)
    look = replace(look, content=("title",))
    assert not any(candidate.reason_against(look) for candidate in CANDIDATES)
    assert "no order" in by_name["sasrec"].reason_against(replace(look, ordered=False))
    assert "no sequence" in by_name["sasrec"].reason_against(replace(look, per_user=1.0))
    assert "items" in by_name["ease"].reason_against(replace(look, items=10**6))
    assert not by_name["mf"].reason_against(replace(look, ordered=False, per_user=1.0))


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ('[model]\nname = "ease"\n', "model"),
        ("[tune]\nmodel.dim = [1, 2]\n", "tune"),
        ("[train]\nepochs = 3\n", r"train\.epochs"),
        ("[trian]\nseed = 3\n", r"did you mean \[train\]"),
        ('[evaluate]\nmetrics = ["rmse"]\n', "squared_error"),
    ],
)
def test_what_a_config_without_a_model_may_not_say_is_named(sections, named, circle, tmp_path):
    (tmp_path / "shop.toml").write_text(f'data.events = "{circle}/events.csv"\n{sections}')
    with pytest.raises(ConfigError, match=named):
        train_auto(*read_auto(str(tmp_path / "shop.toml")), minutes=1, out=tmp_path / "run", ledger=Ledger(tmp_path))
