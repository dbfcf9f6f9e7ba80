import json

import pytest

from tastemaker.errors import ConfigError, RequestError
from tastemaker.serve import jobs
from tastemaker.serve.jobs import Schedule
from tastemaker.serve.registry import Registry
from tastemaker.serve.runner import Runner
from tastemaker.serve.training import config_of
from tastemaker.store.base import Event, open_store

EASE = {"model": {"name": "ease"}}


@pytest.fixture
def registry(store):
    return Registry(store)


def test_a_job_is_queued_with_all_it_needs(registry):
    job = jobs.ask(registry, "shop", EASE)
    assert registry.store.job(job.job_id) == job
    assert (job.kind, job.state, job.progress) == ("train", "queued", 0.0)
    assert job.detail["name"] == "shop"
    assert job.detail["config"] == EASE
    assert job.detail["sequence"] == registry.store.last_sequence()


def test_one_training_of_a_name_at_a_time(registry):
    first = jobs.ask(registry, "shop", EASE)
    with pytest.raises(RequestError, match=first.job_id) as caught:
        jobs.ask(registry, "shop", EASE)
    assert caught.value.status == 409
    jobs.ask(registry, "other", EASE)


def test_without_a_config_a_line_is_trained_as_before(registry, artifacts):
    registry.add(artifacts / "good", "shop", {"config": {"model": {"name": "ease", "regularization": 7.0}}})
    assert jobs.ask(registry, "shop").detail["config"]["model"]["regularization"] == 7.0
    assert jobs.ask(registry, "item_knn").detail["config"] == {"model": {"name": "item_knn"}}
    with pytest.raises(RequestError, match="no model of that name"):
        jobs.ask(registry, "nothing")


@pytest.mark.parametrize(
    "config",
    [
        EASE | {"data": {"events": "/etc/passwd"}},
        EASE | {"data": {"items": "http://inside/"}},
        EASE | {"split": {"kind": "given", "train": "/etc/passwd"}},
        EASE | {"run": {"writers": ["wandb"]}},
        EASE | {"run": {"start_from": "/tmp/model"}},
        {"model": {"name": "${HOME}"}},
        EASE | {"data": {"kinds": {"${HOME}": 1}}},
        {"model": {"name": "nothing"}},
        {"model": {"name": "ease", "regularisation": 1}},
        {"model": "ease"},
        {"evaluate": 3} | EASE,
        {},
    ],
)
def test_a_config_from_outside_names_no_source_and_no_secret(registry, config):
    with pytest.raises(ConfigError):
        jobs.ask(registry, "shop", config)
    assert registry.store.jobs() == []


def test_a_config_from_outside_may_say_how_to_learn():
    tree = EASE | {"data": {"kinds": {"buy": 3.0}, "min_per_item": 2}, "evaluate": {"ks": [5]}}
    config = config_of(tree)
    assert (config.data.kinds, config.evaluate.ks, config.evaluate.baselines) == ({"buy": 3.0}, (5,), ("popularity",))


def test_a_store_in_memory_has_no_jobs(tmp_path):
    with open_store("memory:") as store, pytest.raises(RequestError, match="another process"):
        jobs.ask(Registry(store, tmp_path), "shop", EASE)


def test_cancel_knows_what_can_be_cancelled(registry):
    with pytest.raises(RequestError) as caught:
        jobs.cancel(registry.store, "nothing")
    assert caught.value.status == 404
    job = jobs.ask(registry, "shop", EASE)
    jobs.cancel(registry.store, job.job_id)
    runner = Runner(registry)
    runner.folder.mkdir(parents=True)
    runner._do(registry.store.claim_job("train"))
    assert registry.store.job(job.job_id).state == "cancelled"
    with pytest.raises(RequestError) as caught:
        jobs.cancel(registry.store, job.job_id)
    assert caught.value.status == 409


def test_schedules_are_kept_in_the_store(registry):
    when = Schedule.parse({"every_hours": 6.0, "after_events": 1000})
    jobs.schedule(registry.store, "shop", when)
    jobs.schedule(registry.store, "other", Schedule.parse({"every_hours": 1.0}))
    assert jobs.schedules(registry.store)["shop"] == when
    jobs.schedule(registry.store, "shop", None)
    assert list(jobs.schedules(registry.store)) == ["other"]


def test_a_schedule_asks_after_so_many_events_and_not_while_one_is_under_way(registry):
    store, runner = registry.store, Runner(registry)
    jobs.schedule(store, "ease", Schedule.parse({"after_events": 5}))
    runner._ask_scheduled()
    runner._ask_scheduled()
    (first,) = store.jobs("train")
    _over(store, first)
    runner._ask_scheduled()
    assert len(store.jobs("train")) == 1
    store.add_events([Event("u2", f"i{n}", 1_700_000_000_000_000 + n) for n in range(5)])
    runner._ask_scheduled()
    assert len(store.jobs("train")) == 2


def test_a_schedule_asks_every_so_many_hours(registry):
    store, runner = registry.store, Runner(registry)
    jobs.schedule(store, "ease", Schedule.parse({"every_hours": 2.0}))
    runner._ask_scheduled()
    (first,) = store.jobs("train")
    _over(store, first)
    runner._ask_scheduled()
    assert len(store.jobs("train")) == 1
    _over(store, first, created=first.created - 3 * 3_600_000_000)
    runner._ask_scheduled()
    assert len(store.jobs("train")) == 2


def test_a_schedule_that_cannot_be_asked_for_does_not_end_the_others(registry):
    jobs.schedule(registry.store, "a-nothing", Schedule.parse({"every_hours": 1.0}))
    jobs.schedule(registry.store, "ease", Schedule.parse({"every_hours": 1.0}))
    Runner(registry)._ask_scheduled()
    assert [job.detail["name"] for job in registry.store.jobs("train")] == ["ease"]


def test_a_job_is_json(registry):
    json.dumps(dict(jobs.ask(registry, "shop", EASE).detail))


def _over(store, job, **changes):
    from dataclasses import replace

    store.put_job(replace(job, state="failed", **changes))
