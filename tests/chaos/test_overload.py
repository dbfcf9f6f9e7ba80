"""Five times more requests than can be answered: most that can be are, the rest is told when to come back, and nothing falls over."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.serve import asks
from bench.serve.bars import probing
from bench.serve.loadgen import in_process
from bench.serve.world import World
from tests.chaos.live import FULL, chosen, started

pytestmark = pytest.mark.chaos


@pytest.mark.timeout(600)
def test_overload_is_refused_honestly_and_costs_no_goodput(shop: World, store: str, tmp_path: Path) -> None:
    narrow = ("--set", "serve.max_batch=1", "--set", "serve.queue=64", "--no-access-log")  # so that five times it can be sent
    with started(store, tmp_path, *narrow, artifact=shop.artifact) as server:
        asked = asks.recommend(shop, 2000)
        in_process(server.url, asked, clients=8, seconds=1)
        most = in_process(server.url, asked, clients=32, seconds=chosen(2, 10))
        assert most.failed == 0, most.statuses
        before = server.memory_mb
        with probing(server.url) as probes:
            flood = in_process(server.url, asked, rate=5 * most.ok_per_second, seconds=chosen(3, 60))
        peak = server.peak_mb
        after = in_process(server.url, asked, rate=20, seconds=1)
    assert flood.failed == 0, flood.statuses
    assert flood.statuses.get("503", 0) + flood.statuses.get("429", 0) > flood.statuses.get("200", 0), flood.statuses
    assert flood.without_retry_after == 0
    assert flood.ok_per_second >= chosen(0.3, 0.9) * most.ok_per_second, (flood, most)
    assert peak <= 1.5 * before + 200
    assert probes
    assert max(probes) < chosen(5, 1), "liveness"
    assert after.statuses == {"200": after.asked}
    if FULL:
        assert flood.p99 <= 1500, "accepted requests stay within their deadline"
