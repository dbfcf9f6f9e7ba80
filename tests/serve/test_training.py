import json
import multiprocessing
import os
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tastemaker.experiment import fit, snapshot
from tastemaker.experiment.run import train_run
from tastemaker.recommend import artifact
from tastemaker.serve import jobs, training
from tastemaker.serve.registry import Registry
from tastemaker.store.base import Event, open_store

from . import towns

EASE = {"model": {"name": "ease", "regularization": 50.0}, "evaluate": {"bootstrap": 0}}


@pytest.fixture
def registry(store):
    return Registry(store)


def work(registry, job, said=None):
    said = [] if said is None else said
    folder = registry.folder / ".jobs" / job.job_id
    return training.work(registry, job.job_id, job.detail, folder, lambda **what: said.append(what), threads=1)


def test_a_job_ends_with_a_version_in_use(registry):
    said = []
    job = jobs.ask(registry, "shop", EASE)
    result = work(registry, job, said)
    assert result == {"version": 1, "promoted": True, "reasons": [], "warnings": []}
    version = registry.current()
    assert (version.name, version.version) == ("shop", 1)
    assert version.facts["learned"] == {"split": "leave_last", "sequence": registry.store.last_sequence(), "cut": None}
    assert version.facts["config"] == EASE
    assert [what["phase"] for what in said] == ["training", "saving", "gate"]
    assert registry.load(version).name("i4") == "Thing 4"


def test_a_job_that_shall_not_promote_leaves_a_candidate(registry):
    result = work(registry, jobs.ask(registry, "shop", EASE, promote=False))
    assert (result["promoted"], registry.find("shop", 1).state, registry.current()) == (False, "candidate", None)


def test_a_job_whose_model_the_gate_refuses_leaves_the_one_in_use(registry, artifacts):
    registry.promote("shop", registry.add(artifacts / "good", "shop").version)
    worse = {"model": {"name": "popularity"}, "evaluate": {"bootstrap": 0}}
    result = work(registry, jobs.ask(registry, "shop", worse))
    assert result["promoted"] is False
    assert "worse than the model in use" in result["reasons"][0]
    assert registry.find("shop", 2).state == "refused"
    assert registry.current().version == 1


def _die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def _work_and_die(url, job_id, moment):
    with open_store(url) as store:
        registry = Registry(store)
        job = store.job(job_id)
        if moment == "snapshot":
            snapshot.item_columns = _die
        elif moment == "training":
            fit.fit = _die
        elif moment == "saving":
            artifact.save = _die
        elif moment == "saved":
            training.entered = _die
        elif moment == "gate":
            registry.judge = _die
        elif moment == "promote":
            store.set_model = lambda *args, state=None, **kwargs: _die() if state == "promoted" else None
        work(registry, job)
        _die()  # promoted, but nobody was told


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("moment", ["snapshot", "training", "saving", "saved", "gate", "promote", "told"])
def test_a_kill_in_any_phase_leaves_no_half_version_and_the_job_goes_on(registry, moment):
    job = jobs.ask(registry, "shop", EASE)
    process = multiprocessing.get_context("fork").Process(target=_work_and_die, args=(registry.store.url, job.job_id, moment))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    found = registry.store.models()
    assert len(found) == (1 if moment in ("gate", "promote", "told") else 0)
    for version in found:
        registry.load(version)
    assert (registry.current() is not None) == (moment == "told")
    assert work(registry, job)["promoted"] is True
    (version,) = registry.store.models()
    assert (version.state, version.version) == ("promoted", 1)
    registry.load(version)


def test_a_version_that_was_replaced_since_is_not_promoted_again(registry, artifacts):
    job = jobs.ask(registry, "shop", EASE)
    work(registry, job)
    registry.promote("other", registry.add(artifacts / "good", "other").version)
    assert work(registry, job)["promoted"] is True
    assert registry.current().name == "other"


def test_users_erased_before_or_during_training_are_in_no_file_of_the_version(registry, monkeypatch):
    registry.store.erase_user("u7")
    enter = training.entered
    erased = []

    def erase_then_enter(*args, **facts):
        if not erased:
            erased.append(registry.store.erase_user("u8"))
        return enter(*args, **facts)

    monkeypatch.setattr(training, "entered", erase_then_enter)
    result = work(registry, jobs.ask(registry, "shop", EASE))
    folder = Path(registry.find("shop", result["version"]).path)
    users = artifact.load(folder).users.ids.to_pylist()
    assert len(users) == 158
    assert not {"u7", "u8"} & set(users)


def test_a_snapshot_older_than_an_erasure_is_taken_anew(registry, tmp_path):
    config = training.config_of(EASE)
    first = snapshot.taken(config, registry.store, tmp_path / "data")
    assert not snapshot.taken(config, registry.store, tmp_path / "data").fresh
    registry.store.erase_user("u7")
    again = snapshot.taken(config, registry.store, tmp_path / "data")
    assert (first.fresh, again.fresh) == (True, True)
    assert "u7" not in pq.read_table(tmp_path / "data" / "events.parquet")["user_id"].to_pylist()


def test_poison_in_the_store_does_not_stop_training(registry):
    strange = ["'; drop table events; --", "naïve", "日本", "\u202eabc", "x" * 250, "nan", "NULL", "1e999", " ", "0", "-0"]
    start = towns.START
    poison = [Event(one, other, start + n, f"kind{n}", 10.0**n) for n, one in enumerate(strange) for other in strange[:6]]
    poison += [Event("u2", f"i{n % 40 + 2}", start + n, f"k{n}", 1e300) for n in range(200)]
    poison += [Event("u3", "i3", 0, "view", -5.0), Event("u4", "i4", 4_000_000_000_000_000, "view", 0.0)]
    taken = registry.store.add_events(poison)
    assert taken.accepted > 0
    tree = {"model": {"name": "sasrec", "dim": 8, "blocks": 1}, "train": {"epochs": 1}, "evaluate": {"bootstrap": 0}}
    result = work(registry, jobs.ask(registry, "poisoned", tree, promote=False))
    version = registry.find("poisoned", result["version"])
    assert json.dumps(dict(version.facts))
    assert "日本" in registry.load(version).items.ids.to_pylist()


def test_rows_that_cannot_be_learned_from_are_counted(registry, tmp_path):
    registry.store.add_events([Event("u2", "i3", towns.START, "view", 1e300), Event("u2", "i4", towns.START, "view", -1.0)])
    result = train_run(training.config_of(EASE), tmp_path / "run", store=registry.store)
    reasons = {one["reason"]: one["rows"] for one in result.report["data"]["import"]["rejects"]}
    assert sum(reasons.values()) == 2
    assert not (tmp_path / "run" / "data").exists()
