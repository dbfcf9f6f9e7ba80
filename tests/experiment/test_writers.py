import importlib
import time

import pytest

from tastemaker.errors import ConfigError, MissingExtraError
from tastemaker.experiment.writers import JsonLines, Writer, open_writers, read_records

CONFIG = {"model": {"name": "sasrec"}, "train": {"seed": 1}}


def fill(writers: list[Writer]) -> None:
    for writer in writers:
        writer.record(1, {"loss": 2.0, "ndcg@10": 0.1})
        writer.record(2, {"loss": 1.0, "ndcg@10": 0.2})
        writer.finish({"test/ndcg@10": 0.15})


def test_json_lines_hold_a_record_per_epoch(tmp_path):
    fill(open_writers([], "run", tmp_path, CONFIG))
    assert [record["ndcg@10"] for record in read_records(tmp_path / "records.jsonl")] == [0.1, 0.2]


def test_a_resumed_run_replaces_the_epochs_it_repeats(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text('{"epoch": 1, "loss": 3.0}\n{"epoch": 2, "loss": 2.0}\n{"epoch": 3, "lo')
    writer = JsonLines(path)
    writer.record(2, {"loss": 2.5})
    writer.record(3, {"loss": 1.5})
    assert [(r["epoch"], r["loss"]) for r in read_records(path)] == [(1, 3.0), (2, 2.5), (3, 1.5)]


def test_tensorboard_event_files_hold_the_scalars(tmp_path):
    fill(open_writers(["tensorboard"], "run", tmp_path, CONFIG))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [round(e.value, 4) for e in events.Scalars("loss")] == [2.0, 1.0]
    assert [e.step for e in events.Scalars("ndcg@10")] == [1, 2]


def test_mlflow_holds_parameters_and_metrics(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    (tmp_path / "run").mkdir()
    fill(open_writers(["mlflow"], "run-1", tmp_path / "run", CONFIG))
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("tastemaker")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["train.seed"] == "1"
    assert [m.value for m in client.get_metric_history(run.info.run_id, "ndcg_at_10")] == [0.1, 0.2]


def test_wandb_offline_leaves_a_run_file(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    fill(open_writers(["wandb"], "run-1", tmp_path, CONFIG))
    (file,) = tmp_path.glob("wandb/offline-run-*/run-run-1.wandb")
    for _ in range(100):  # a process of its own writes the file
        if b"test/ndcg@10" in file.read_bytes():
            break
        time.sleep(0.1)
    assert b"test/ndcg@10" in file.read_bytes()


def test_an_unknown_writer_is_an_error_that_lists_the_known(tmp_path):
    with pytest.raises(ConfigError, match="tensorboard, mlflow, wandb"):
        open_writers(["tensorbord"], "run", tmp_path, CONFIG)


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    real = importlib.import_module

    def absent(name, *args):
        if name == "mlflow":
            raise ModuleNotFoundError(name)
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"tastemaker\[tracking\]"):
        open_writers(["mlflow"], "run", tmp_path, CONFIG)
