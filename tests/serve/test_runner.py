import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from tastemaker.serve import describing, jobs
from tastemaker.serve.registry import Registry
from tastemaker.serve.runner import JobSettings, Runner
from tastemaker.store.base import Event, open_store

LONG = {
    "model": {"name": "sasrec", "dim": 16, "blocks": 1, "max_length": 20},
    "train": {"epochs": 24, "patience": 24, "learning_rate": 0.005, "batch_targets": 64},
    "evaluate": {"bootstrap": 0, "baselines": []},
}
SETTINGS = JobSettings.parse({"poll_seconds": 0.1, "threads": 1, "nice": 1})


@pytest.fixture
def registry(store):
    return Registry(store)


@pytest.fixture
def runner(registry):
    made = Runner(registry, SETTINGS)
    yield made
    made.stop()


def until(store, job, condition, seconds=240.0):
    """Looks at a job until the condition holds; returns all that was seen of it."""
    end, seen = time.monotonic() + seconds, []
    while True:
        seen.append(store.job(job.job_id))
        if condition(seen[-1]):
            return seen
        assert time.monotonic() < end, f"not in time: {seen[-1]}"
        assert seen[-1].state in ("queued", "running"), seen[-1]
        time.sleep(0.05)


def over(job):
    return job.state not in ("queued", "running")


def in_epoch(number):
    return lambda job: (job.detail.get("epoch") or 0) >= number


def training_process(service=None):
    """The training process that a process (this one) started; None where there is none."""
    for folder in Path("/proc").iterdir():
        try:
            started_by = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) if folder.name.isdigit() else None
            if started_by == (service or os.getpid()) and b"tastemaker.serve.training" in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except OSError:  # it ended while it was looked at
            continue
    return None


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _serve(url):
    Runner(Registry(open_store(url)), SETTINGS).start()
    time.sleep(600)


def test_a_killed_service_and_a_killed_training_lose_nothing(registry, runner):
    """kill -9 of the service takes its training along; the next service goes on; kill -9 of that training; it goes on to the end."""
    store, job = registry.store, jobs.ask(registry, "shop", LONG)
    service = multiprocessing.get_context("spawn").Process(target=_serve, args=(store.url,))
    service.start()
    until(store, job, in_epoch(2))
    pid = training_process(service.pid)
    assert os.getpgid(pid) == pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, service.pid) + 1
    os.kill(service.pid, signal.SIGKILL)
    service.join()
    end = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < end, "the training outlived the service"
        time.sleep(0.05)
    left = store.job(job.job_id)
    assert (left.state, store.models()) == ("running", [])

    runner.start()
    seen = until(store, job, in_epoch(left.detail["epoch"] + 1))
    assert store.models() == []
    os.kill(training_process(), signal.SIGKILL)
    seen += until(store, job, over)
    last = seen[-1]
    assert (last.state, last.progress, last.detail["kills"], last.detail["promoted"]) == ("done", 1.0, 2, True), last
    epochs = [one.detail["epoch"] for one in seen]
    assert epochs == sorted(epochs), "it began anew"
    assert epochs[0] >= left.detail["epoch"]
    assert (registry.current().version, last.detail["version"], len(store.models())) == (1, 1, 1)
    assert not (runner.folder / job.job_id).exists()


def test_a_training_under_way_is_cancelled_with_its_process(registry, runner):
    job = jobs.ask(registry, "shop", LONG)
    runner.start()
    until(registry.store, job, lambda one: one.state == "running")
    jobs.cancel(registry.store, job.job_id)
    assert until(registry.store, job, over)[-1].state == "cancelled"
    assert training_process() is None
    assert registry.store.models() == []


def test_a_training_that_fails_says_why(tmp_path):
    with open_store(str(tmp_path / "small.db")) as store:
        store.add_events([Event("only", f"i{n}", 1_700_000_000_000_000 + n) for n in range(5)])
        registry = Registry(store)
        runner = Runner(registry, SETTINGS).start()
        job = jobs.ask(registry, "ease")
        last = until(store, job, over)[-1]
        runner.stop()
    assert last.state == "failed"
    assert "one user only" in last.detail["error"]


def test_a_training_that_takes_too_long_is_ended(registry):
    runner = Runner(registry, SETTINGS.model_copy(update={"timeout_hours": 1e-5})).start()
    job = jobs.ask(registry, "shop", LONG)
    last = until(registry.store, job, over)[-1]
    runner.stop()
    assert last.state == "failed"
    assert "took longer than" in last.detail["error"]


def test_a_service_that_stops_puts_its_training_back_into_the_queue(registry, runner):
    job = jobs.ask(registry, "shop", LONG)
    runner.start()
    until(registry.store, job, lambda one: one.state == "running")
    runner.stop()
    assert (registry.store.job(job.job_id).state, registry.store.job(job.job_id).detail["kills"]) == ("queued", 0)
    assert training_process() is None


def test_one_of_several_services_runs_the_jobs(registry, runner):
    other = Runner(registry, SETTINGS)
    assert runner._elected()
    assert not other._elected()
    assert runner._elected()


def test_a_job_that_is_killed_again_and_again_fails(registry, runner):
    job = jobs.ask(registry, "shop", LONG)
    for _ in range(SETTINGS.kills):
        runner._again(registry.store.job(job.job_id))
        assert registry.store.job(job.job_id).state == "queued"
    runner._again(registry.store.job(job.job_id))
    assert registry.store.job(job.job_id).state == "failed"


def test_a_report_whose_process_is_killed_is_made_all_the_same(registry, runner):
    store = registry.store
    runner.start()
    job = describing.ask(store)
    until(store, job, lambda now: now.state == "running" and training_process() is not None)
    os.kill(training_process(), signal.SIGKILL)
    seen = until(store, job, over)
    assert seen[-1].state == "done" and seen[-1].detail["kills"] == 1
    assert describing.quality(store).report["interactions"] > 0
