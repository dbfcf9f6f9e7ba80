import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import RunResult
from tastemaker.recommend.artifact import read_manifest


def test_a_run_is_a_folder_with_everything(shop):
    names = {path.name for path in shop.run.iterdir()}
    assert names >= {"config.toml", "run.json", "records.jsonl", "report.json", "reports", "log.txt", "artifact"}
    assert not any(name.endswith(".safetensors") for name in names)


def test_train_json_is_one_object_with_the_promised_keys(shop):
    (shop.folder / "ease.toml").write_text(shop.config.read_text().split("[model]")[0] + '[model]\nname = "ease"\n')
    out = shop.folder / "ease"
    found = shop.json("train", shop.folder / "ease.toml", "--set", "evaluate.ks=[3]", "--out", out)
    promised = ["run", "artifact", "model", "test", "validation", "baselines", "epochs", "train_seconds", "peak_memory_mb"]
    assert list(found) == promised
    assert (found["run"], found["artifact"], found["epochs"]) == (str(out), str(out / "artifact"), None)
    assert 0 < found["test"]["ndcg@3"] <= 1
    assert 0 < found["baselines"]["popularity"]["ndcg@3"] < found["baselines"]["item_knn"]["ndcg@3"]


def test_records_hold_an_epoch_each(shop):
    records = [json.loads(line) for line in (shop.run / "records.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert {"loss", "ndcg@5", "seconds"} <= set(records[0])


def test_the_report_sets_the_model_beside_tuned_baselines(shop):
    report = RunResult.read(shop.run).report
    assert set(report["baselines"]) == {"popularity", "item_knn", "ease"}
    assert all(rival["tried"] > 1 for rival in report["baselines"].values())
    assert set(report["comparison"]["metrics"]) == {"ndcg@5", "hit_rate@5"}
    assert report["protocol"]["test_users"] == 40


def test_the_saved_config_repeats_the_run(shop):
    again = shop.json("train", shop.run / "config.toml", "--out", shop.folder / "again")
    first = RunResult.read(shop.run).to_dict()
    assert again["test"] == first["test"]
    assert again["baselines"] == first["baselines"]


def test_evaluate_repeats_the_figures_of_the_run(shop):
    found = shop.json("evaluate", shop.artifact, shop.config)
    assert found["test"]["metrics"] == RunResult.read(shop.run).report["test"]["metrics"]


def test_evaluate_takes_data_with_new_users_and_items(shop):
    text = (shop.folder / "events.csv").read_text()
    extra = "".join(
        f"new{u},{item},{1_700_000_000 + place}\n" for u in range(3) for place, item in enumerate(["i1", "fresh", "i2", "i3"])
    )
    (shop.folder / "more.csv").write_text(text + extra)
    found = shop.json("evaluate", shop.artifact, shop.config, "--set", "data.events=more.csv")
    assert found["test"]["counts"]["users_asked"] == 43


def test_runs_lists_the_run(shop):
    rows = {row["folder"]: row for row in shop.json("runs")["runs"]}
    row = rows[str(shop.run.resolve())]
    assert (row["model"], row["status"], row["epochs"]) == ("sasrec", "finished", RunResult.read(shop.run).report["epochs"])
    assert "sasrec" in shop.call("runs").stdout


def test_compare_pairs_runs_and_draws_them(shop):
    other = shop.json(
        "train", shop.config, "--set", "model.dim=4", "--set", "evaluate.baselines=[]", "--out", shop.folder / "small"
    )
    assert other["baselines"] == {}
    plot = shop.folder / "two.png"
    found = shop.json("compare", shop.run, shop.folder / "small", "--metric", "ndcg@5", "--plot", plot)
    assert list(found["metrics"]) == ["ndcg@5"]
    assert len(found["metrics"]["ndcg@5"]) == 2
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_compare_of_one_run_is_the_users_mistake(shop):
    assert shop.call("compare", shop.run).exit_code == 2


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["train.epoch=3"], "'epochs'"),
        (["model.dims=3"], "'dim'"),
        (["model.name=sasrek"], "'sasrec'"),
        (["dat.events=x"], "[data]"),
        (["split.kind=leave_lst"], "leave_last"),
        (["data.evens=x"], "'events'"),
        (["evaluate.metrics=['ndgc']"], "'ndcg'"),
        (["evaluate.baselines=['sasrec']"], "solved in one step"),
        (["evaluate.select=ndcg"], "ndcg@10"),
        (["run.writers=['aim']"], "tensorboard"),
        (["train.device=cuda:99"], "device"),
        (["data.events=none.csv"], "none.csv"),
        (["data.events=${TASTEMAKER_NO_SUCH}/x.csv"], "TASTEMAKER_NO_SUCH"),
        (["model.name=ease", "train.epochs=3"], "train.epochs"),
    ],
)
def test_a_mistake_in_the_config_is_named_and_ends_with_2(shop, settings, named):
    config = shop.config.read_text()
    if settings[0].startswith("model.name=ease"):
        config = config.replace("dim = 8\nblocks = 1\nmax_length = 10\n", "")
    (shop.folder / "wrong.toml").write_text(config)
    flags = [part for setting in settings for part in ("--set", setting)]
    result = shop.call(
        "train", shop.folder / "wrong.toml", *flags, "--out", shop.folder / f"wrong-{abs(hash(tuple(settings)))}"
    )
    assert result.exit_code == 2, result.output
    assert named in result.stderr
    assert "Traceback" not in result.output


def test_a_folder_in_use_is_not_written_over(shop):
    result = shop.call("train", shop.config, "--out", shop.run)
    assert result.exit_code == 2
    assert "--resume" in result.stderr


def test_resuming_a_finished_run_gives_its_result(shop):
    assert shop.json("train", shop.config, "--out", shop.run, "--resume") == RunResult.read(shop.run).to_dict()


def test_resuming_with_other_settings_is_refused(shop):
    result = shop.call("train", shop.config, "--out", shop.run, "--resume", "--set", "model.dim=4")
    assert result.exit_code == 2
    assert "other settings" in result.stderr


def test_a_killed_run_is_unfinished_and_goes_on_to_the_same_end(shop, two_threads):
    settings = ["--set", "train.epochs=6", "--set", "evaluate.baselines=[]", "--set", "train.patience=99"]
    whole = shop.json("train", shop.config, *settings, "--out", shop.folder / "whole")
    out = shop.folder / "killed"
    command = [sys.executable, "-m", "tastemaker", "train", str(shop.config), *settings, "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 3/"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    status = {run.folder: run.status for run in Ledger().runs()}[out.resolve()]
    assert status == "unfinished"

    torch.set_num_threads(1)  # it goes on with the threads it began with, not with those it finds
    resumed = shop.json("train", shop.config, *settings, "--resume")  # found by its config alone
    assert torch.get_num_threads() == 1
    assert resumed["run"] == str(out.resolve())
    assert resumed["test"] == whole["test"]
    assert resumed["epochs"] == whole["epochs"]
    weights = {
        name: read_manifest(shop.folder / name / "artifact").files["weights.safetensors"] for name in ("whole", "killed")
    }
    assert weights["whole"] == weights["killed"]
    records = [json.loads(line)["epoch"] for line in (out / "records.jsonl").read_text().splitlines()]
    assert records == [1, 2, 3, 4, 5, 6]


def test_refit_learns_from_validation_too_and_says_so(shop):
    out = shop.folder / "refit"
    shop.json("train", shop.config, "--set", "train.refit=true", "--set", "evaluate.baselines=['popularity']", "--out", out)
    report = RunResult.read(out).report
    assert any("train + validation" in note for note in report["notes"])


def test_negatives_that_are_given_are_said_wherever_figures_are_shown(shop):
    rows = [line.rsplit(",", 1) for line in (shop.folder / "events.csv").read_text().splitlines()[1:]]
    users = [row[0].split(",")[0] for row in rows]
    last = {user: place for place, user in enumerate(users)}
    for name, keep in (
        ("train", lambda place: place != last[users[place]]),
        ("test", lambda place: place == last[users[place]]),
    ):
        lines = [",".join(row) for place, row in enumerate(rows) if keep(place)]
        (shop.folder / f"{name}.csv").write_text("\n".join(["user,item,time", *lines]) + "\n")
    asked = [json.dumps({"user": user, "negatives": ["i1", "i5", "i9"]}) for user in last]
    (shop.folder / "negatives.jsonl").write_text("\n".join(asked) + "\n")
    config, out = shop.folder / "given.toml", shop.folder / "given"
    files = 'train = "train.csv"\ntest = "test.csv"\nnegatives = "negatives.jsonl"\ncarve = "last"\n'
    config.write_text(f'[split]\nkind = "given"\n{files}[model]\nname = "popularity"\n[evaluate]\nks = [2]\nbaselines = []\n')
    printed = shop.call("train", config, "--out", out).stdout
    among = "2 to 3 given negatives, not the catalogue"
    assert f"Test: 40 users, split given, ranked among {among} metric" in " ".join(printed.split())
    report = RunResult.read(out).report
    assert report["protocol"]["ranked_among"] == among
    assert report["protocol"]["items_ranked"] is None
    assert report["test"]["beyond"] == {}
    assert any(among in note for note in report["notes"])
    assert shop.json("evaluate", out / "artifact", config)["ranked_among"] == among
    again = shop.json("train", out / "config.toml", "--out", shop.folder / "given-again")
    assert again["test"]["hit_rate@2"] == report["test"]["metrics"]["hit_rate@2"]
