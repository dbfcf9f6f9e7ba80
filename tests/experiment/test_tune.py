import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import pytest

from tastemaker.errors import ConfigError, MissingExtraError, TrainingError
from tastemaker.experiment.config import Config, read_config
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.run import train_run
from tastemaker.experiment.study import Study
from tastemaker.experiment.tune import tune

from .conftest import CONFIG


@pytest.fixture(scope="module")
def searched(config, tmp_path_factory):
    """A search of two processes over a range and choices, and its ledger."""
    folder = tmp_path_factory.mktemp("search")
    ledger = Ledger(folder)
    asked = Config.parse(
        config.to_dict() | {"tune": {"train.learning_rate": {"low": 1e-4, "high": 0.05, "log": True}, "model.dim": [4, 8]}}
    )
    return tune(asked, folder / "search", trials=7, jobs=2, ledger=ledger), ledger, asked


def test_the_first_trial_is_the_config_as_it_stands_and_the_best_is_no_worse(searched):
    tuned, _, _ = searched
    first = next(one for one in tuned.attempts if one.number == 0)
    assert first.values == {"train.learning_rate": 0.01, "model.dim": 8}
    assert len(tuned.attempts) == 7
    assert tuned.best.metric == max(one.metric for one in tuned.attempts) >= first.metric
    assert all(
        1e-4 <= one.values["train.learning_rate"] <= 0.05 and one.values["model.dim"] in (4, 8) for one in tuned.attempts
    )


def test_every_trial_is_a_run_of_the_search_without_test_figures_or_artifact(searched):
    tuned, ledger, _ = searched
    runs = {run.folder.name: run for run in ledger.runs()}
    assert len(runs) == 7
    for one in tuned.attempts:
        run = runs[f"trial-{one.number:04d}"]
        assert (run.status, run.tuning, run.test) == ("finished", tuned.name, {})
        assert run.validation == {"ndcg@5": pytest.approx(one.metric)}
        assert {path.name for path in run.folder.iterdir()} == {"config.toml", "records.jsonl", "lock"}


def test_the_best_config_trains_to_the_metric_that_was_found(searched, tmp_path):
    tuned, _, _ = searched
    best = read_config(tuned.config, ["evaluate.baselines=[]"])
    result = train_run(best, tmp_path / "run", ledger=Ledger(tmp_path))
    assert result.report["validation"]["metrics"]["ndcg@5"] == pytest.approx(tuned.best.metric, abs=0.02)  # threads differ
    assert best.model.dim == tuned.best.values["model.dim"]
    told = json.loads((tuned.folder / "result.json").read_text())
    assert told["best"]["metric"] == pytest.approx(tuned.best.metric)


def test_a_search_goes_on_from_what_it_found(searched):
    tuned, ledger, asked = searched
    again = tune(asked, tuned.folder, trials=9, resume=True, ledger=ledger)
    assert len(again.attempts) == 9
    assert {one.number for one in tuned.attempts} < {one.number for one in again.attempts}
    with pytest.raises(ConfigError, match="no search"):
        tune(replace(asked, model_name="als"), tuned.folder, trials=9, resume=True, ledger=ledger)
    with pytest.raises(ConfigError, match="other settings"):
        tune(replace(asked, tune={"model.dim": (4, 16)}), tuned.folder, trials=9, resume=True, ledger=ledger)


def test_a_folder_in_use_is_not_written_over(searched):
    tuned, ledger, asked = searched
    with pytest.raises(ConfigError, match="not empty"):
        tune(asked, tuned.folder, trials=1, ledger=ledger)


def test_a_solved_model_is_searched_and_the_search_ends_when_all_was_tried(circle, tmp_path):
    tree = CONFIG | {"model": {"name": "ease"}, "tune": {"model.regularization": [1.0, 10.0, 100.0]}}
    tuned = tune(Config.parse(tree, circle), tmp_path / "s", minutes=2, ledger=Ledger(tmp_path))
    assert sorted(one.values["model.regularization"] for one in tuned.attempts) == [1.0, 10.0, 100.0]
    assert all((one.epochs, one.why) == (0, "finished") for one in tuned.attempts)


def test_settings_that_all_fail_end_the_search_with_the_reason(circle, tmp_path):
    tree = CONFIG | {"model": {"name": "item_knn", "similarity": "jaccard"}, "tune": {"model.asymmetry": [0.5, 0.6, 0.7, 0.8]}}
    with pytest.raises(TrainingError, match="no effect on 'jaccard'"):
        tune(Config.parse(tree, circle), tmp_path / "s", minutes=1, ledger=Ledger(tmp_path))


def test_a_search_needs_an_end_and_something_to_search(config, circle, tmp_path):
    with pytest.raises(ConfigError, match="minutes or trials"):
        tune(config, tmp_path / "s")
    with pytest.raises(ConfigError, match=r"\[tune\]"):
        tune(Config.parse(CONFIG | {"model": {"name": "blend"}}, circle), tmp_path / "s", trials=1, ledger=Ledger(tmp_path))


def test_without_optuna_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"tastemaker\[tune\]"):
        Study.open(tmp_path, 0)


def test_a_search_survives_a_kill_and_ends_at_ctrl_c_with_what_it_found(circle, tmp_path):
    (tmp_path / "shop.toml").write_text(
        f'data.events = "{circle}/events.csv"\nsplit.kind = "leave_last"\nevaluate.ks = [5]\n'
        'evaluate.metrics = ["ndcg"]\n[model]\nname = "sasrec"\ndim = 8\n[train]\nepochs = 60\npatience = 60\n'
    )
    ledger = Ledger(tmp_path)
    with started(tmp_path) as process:
        until(process, "trial 0 ")
        while not list(tmp_path.glob("search/trial-*1/records.jsonl")):
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + 60
    while any(run.status == "running" for run in ledger.runs()):
        assert time.monotonic() < deadline, "a process goes on without the one it works for"
        time.sleep(0.1)
    (killed,) = (run for run in ledger.runs() if run.status == "unfinished")
    begun = max(int(folder.name.removeprefix("trial-")) for folder in tmp_path.glob("search/trial-*"))

    with started(tmp_path, "--resume") as process:
        until(process, "trial ", above=begun)  # it tells what it found before as well
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        assert process.stdout is not None
        told = process.stdout.read()
    assert process.returncode == 0, told
    assert "interrupted; --resume goes on" in told
    assert read_config(tmp_path / "search" / "best.toml").model_name == "sasrec"
    runs = {run.id: run for run in ledger.runs()}
    assert {run.status for run in runs.values()} == {"finished", "failed"}
    assert runs[killed.id].error == "its process ended"


def started(folder, *arguments):
    command = [sys.executable, "-m", "tastemaker", "tune", "shop.toml", "--minutes", "5", "--out", "search", *arguments]
    environment = os.environ | {"TASTEMAKER_RUNS": str(folder)}
    pipe, as_in_a_terminal = (
        subprocess.PIPE,
        partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # the tests may run in the background
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
    )


def until(process, beginning, above=-1):
    """Waits for a line that begins so; with `above`, for one whose second word is a higher number."""
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith(beginning) and (above < 0 or int(line.split()[1]) > above):
            return
    pytest.fail("".join(seen))
