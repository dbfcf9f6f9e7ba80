import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tastemaker.errors import UserError
from tastemaker.experiment.ledger import Ledger, Run, holding


def enter(ledger: Ledger, name: str, folder: Path, config_hash: str = "h") -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(name, folder, "sasrec", config_hash, time.time())
    ledger.begin(run)
    return run


def test_a_finished_run_keeps_its_figures(tmp_path):
    ledger = Ledger(tmp_path)
    enter(ledger, "a", tmp_path / "a")
    ledger.finish("a", validation={"ndcg@10": 0.5}, test={"ndcg@10": 0.25}, epochs=3, train_seconds=1.5)
    (run,) = ledger.runs()
    assert (run.status, run.validation, run.test, run.epochs) == ("finished", {"ndcg@10": 0.5}, {"ndcg@10": 0.25}, 3)


def test_a_failed_run_keeps_its_reason(tmp_path):
    ledger = Ledger(tmp_path)
    enter(ledger, "a", tmp_path / "a")
    ledger.fail("a", "loss is NaN")
    assert [(run.status, run.error) for run in ledger.runs()] == [("failed", "loss is NaN")]


def test_a_run_is_running_while_held_and_unfinished_after(tmp_path):
    ledger = Ledger(tmp_path)
    enter(ledger, "a", tmp_path / "a")
    with holding(tmp_path / "a"):
        assert ledger.runs()[0].status == "running"
        with pytest.raises(UserError, match="another process"), holding(tmp_path / "a"):
            pass
    assert ledger.runs()[0].status == "unfinished"


def test_a_killed_process_lets_go_of_its_run(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from tastemaker.experiment.ledger import *\n"
        "with holding(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    ledger = Ledger(tmp_path)
    enter(ledger, "a", tmp_path / "a")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert ledger.runs()[0].status == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert ledger.unfinished("h") == ledger.runs()[0]


def test_a_removed_folder_is_told(tmp_path):
    ledger = Ledger(tmp_path)
    enter(ledger, "a", tmp_path / "a")
    (tmp_path / "a").rmdir()
    assert ledger.runs()[0].status == "removed"


def test_runs_are_found_by_id_beginning_and_folder(tmp_path):
    ledger = Ledger(tmp_path)
    enter(ledger, "2026-a", tmp_path / "x")
    enter(ledger, "2026-b", tmp_path / "y")
    assert ledger.find("2026-a").id == ledger.find(tmp_path / "x").id == "2026-a"
    with pytest.raises(UserError, match="2 runs begin with"):
        ledger.find("2026")
    with pytest.raises(UserError, match="no run 'z'"):
        ledger.find("z")


def _enter_many(folder: str, worker: int) -> None:
    ledger = Ledger(folder)
    for number in range(10):
        ledger.begin(Run(f"{worker}-{number}", Path(folder), "ease", "h", 0.0))
        ledger.finish(f"{worker}-{number}", validation={}, test={"ndcg@10": worker}, epochs=None, train_seconds=0.0)


def test_parallel_processes_lose_no_row(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_enter_many, args=(str(tmp_path), worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    runs = Ledger(tmp_path).runs()
    assert len(runs) == 40
    assert all(run.status == "finished" for run in runs)


def test_a_ledger_of_before_there_were_searches_is_taken_over(tmp_path):
    with sqlite3.connect(tmp_path / "ledger.db") as old:
        old.execute(
            """create table runs (
            id text primary key, folder text not null, model text not null, config_hash text not null, started real not null,
            finished real, outcome text not null, validation text not null, test text not null, epochs integer, train_seconds real,
            error text not null)"""
        )
        old.execute(
            "insert into runs values ('a', ?, 'ease', 'h', 1.0, 2.0, 'finished', '{}', '{}', null, 0.5, '')", [str(tmp_path)]
        )
    old.close()
    ledger = Ledger(tmp_path)
    ledger.begin(Run("b", tmp_path, "ease", "h", 2.0, tuning="search"))
    assert [(run.id, run.tuning) for run in ledger.runs()] == [("b", "search"), ("a", "")]


def test_a_killed_trial_is_no_run_to_go_on_with(tmp_path):
    ledger = Ledger(tmp_path)
    (tmp_path / "trial").mkdir()
    ledger.begin(Run("t", tmp_path / "trial", "ease", "h", 1.0, tuning="search"))
    assert ledger.runs()[0].status == "unfinished"
    assert ledger.unfinished("h") is None


def test_a_damaged_ledger_is_an_error_that_names_it(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match=r"ledger\.db"):
        Ledger(tmp_path).runs()
