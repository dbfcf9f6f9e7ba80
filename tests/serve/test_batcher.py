from __future__ import annotations

import asyncio
import threading

import pytest
from tests.serve.worlds import did, grid, ids, opened

from tastemaker.errors import FilterError, OverloadError
from tastemaker.serve.batcher import Batcher
from tastemaker.wire.bodies import Recommend


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("batcher"), grid(), max_batch=4, queue=6) as (service, _store, _clock):
        did(service, "u", "item 3")
        yield service


class Held:
    """Holds the service's worker until told, and notes the sizes of the calls."""

    def __init__(self, service, monkeypatch):
        self.go, self.sizes, answer = threading.Event(), [], service.answer

        def answered(asks):
            self.sizes.append(len(asks))
            self.go.wait(10)
            return answer(asks)

        monkeypatch.setattr(service, "answer", answered)


def test_a_request_alone_is_answered_alone_and_those_that_come_meanwhile_together(world, monkeypatch):
    held = Held(world, monkeypatch)

    async def main():
        batcher = Batcher(world)
        tasks = [asyncio.create_task(batcher.submit(Recommend(user_id="u", limit=place + 1))) for place in range(6)]
        await asyncio.sleep(0.05)
        held.go.set()
        answers = await asyncio.gather(*tasks)
        await batcher.close()
        return answers

    answers = asyncio.run(main())
    assert held.sizes == [1, 4, 1]
    assert [len(answer.items) for answer in answers] == [1, 2, 3, 4, 5, 6]
    assert ids(answers[0]) == ids(answers[5])[:1]


def test_beyond_the_queue_requests_are_refused_at_once_with_a_time_to_come_back(world, monkeypatch):
    held = Held(world, monkeypatch)

    async def main():
        batcher = Batcher(world)
        tasks = [asyncio.create_task(batcher.submit(Recommend(limit=1))) for _ in range(9)]
        await asyncio.sleep(0.05)
        refused = [task for task in tasks if task.done()]
        held.go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.close()
        return len(refused), results

    refused, results = asyncio.run(main())
    errors = [one for one in results if isinstance(one, OverloadError)]
    assert refused == len(errors) == 2  # one is being answered, six wait
    assert all(error.retry_after_seconds >= 1 for error in errors)


def test_while_the_first_in_the_queue_waits_too_long_nobody_else_is_taken_in(world, monkeypatch):
    held = Held(world, monkeypatch)
    monkeypatch.setattr(world, "settings", world.settings.model_copy(update={"patience_ms": 30.0}))

    async def main():
        batcher = Batcher(world)
        first, second = (asyncio.create_task(batcher.submit(Recommend(limit=1))) for _ in range(2))
        await asyncio.sleep(0)
        assert not batcher.full
        await asyncio.sleep(0.05)
        assert batcher.full
        with pytest.raises(OverloadError):
            await batcher.submit(Recommend(limit=1))
        held.go.set()
        await asyncio.gather(first, second)
        assert not batcher.full
        await batcher.close()

    asyncio.run(main())


def test_an_error_reaches_whoever_asked_and_nobody_else(world):
    async def main():
        batcher = Batcher(world)
        wrong, right = batcher.submit(Recommend(filter="((")), batcher.submit(Recommend(limit=2))
        results = await asyncio.gather(wrong, right, return_exceptions=True)
        await batcher.close()
        return results

    wrong, right = asyncio.run(main())
    assert isinstance(wrong, FilterError)
    assert len(right.items) == 2


def test_who_has_gone_is_not_answered(world, monkeypatch):
    held = Held(world, monkeypatch)

    async def main():
        batcher = Batcher(world)
        first = asyncio.create_task(batcher.submit(Recommend(limit=1)))
        await asyncio.sleep(0.02)
        gone = asyncio.create_task(batcher.submit(Recommend(limit=2)))
        await asyncio.sleep(0)
        gone.cancel()
        held.go.set()
        await first
        await batcher.close()

    asyncio.run(main())
    assert held.sizes == [1]


def test_after_the_close_nothing_is_taken(world):
    async def main():
        batcher = Batcher(world)
        await batcher.close()
        with pytest.raises(OverloadError):
            await batcher.submit(Recommend())

    asyncio.run(main())
