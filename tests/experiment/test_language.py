"""Lists with a language model's order and without it, over a real socket: people take things of one colour, and titles say which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.recommend.language.peer import Peer, peer
from typer.testing import CliRunner

from tastemaker.cli.app import app
from tastemaker.errors import ConfigError, DataError
from tastemaker.experiment.any_config import read_any
from tastemaker.experiment.language import compare_language
from tastemaker.recommend.language import LanguageSettings

ITEMS = 30


@pytest.fixture(scope="module")
def server() -> Iterator[Peer]:
    with peer() as found:
        yield found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a config and the artifact of a model that tells everybody the same."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(0)
    rows = [
        f"u{user},i{item},{1_700_000_000 + 1000 * step + user}"
        for user in range(60)
        for step, item in enumerate(rng.permutation(np.arange(user % 2, ITEMS, 2))[:6])
    ]
    (folder / "events.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    titles = [f"i{item},{'red' if item % 2 else 'blue'} thing {item}" for item in range(ITEMS)]
    (folder / "items.csv").write_text("item,title\n" + "\n".join(titles) + "\n")
    (folder / "shop.toml").write_text(
        '[data]\nevents = "events.csv"\nitems = "items.csv"\n[split]\nkind = "leave_last"\n[model]\nname = "popularity"\n'
        '[evaluate]\nks = [5]\nmetrics = ["ndcg", "hit_rate"]\n'
    )
    done = CliRunner().invoke(app, ["train", str(folder / "shop.toml"), "--out", str(folder / "run")])
    assert done.exit_code == 0, done.output
    return folder


def settings(server: Peer, model: str = "overlap", **more: Any) -> LanguageSettings:
    server.asked.clear()
    return server.settings(model, **{"candidates": 20, "calls_per_minute": 1000, "input_price": 2.0, **more})


def compared(shop: Path, language: LanguageSettings, **more: Any) -> dict[str, Any]:
    return compare_language(shop / "run" / "artifact", read_any(shop / "shop.toml", []), language, **more)


def test_an_order_that_helps_is_seen_to_help_and_what_it_cost_is_told(shop: Path, server: Peer) -> None:
    found = compared(shop, settings(server))
    ndcg = found["comparison"]["metrics"]["ndcg@5"]
    assert ndcg["with"]["difference"] > 0.05 and ndcg["with"]["p_value"] < 0.01
    assert ndcg["without"]["value"] == found["without"]["metrics"]["ndcg@5"]
    cost = found["cost"]
    assert found["users"] == 60 and cost["calls"] == {"order": len(server.asked)} and cost["left_as_they_were"] == {}
    assert cost["tokens"] == {"read": 100 * len(server.asked), "written": 10 * len(server.asked)}
    assert cost["price"] == pytest.approx(100 * len(server.asked) * 2.0 / 1e6)
    assert 0 < cost["seconds_a_list"]["median"] <= cost["seconds_a_list"]["95 %"] and 30 < cost["changed"] <= 60


def test_the_same_users_are_asked_with_and_without(shop: Path, server: Peer) -> None:
    found = compared(shop, settings(server), users=12, side="validation")
    assert (found["users"], found["side"], len(server.asked)) == (12, "validation", 12)
    assert found["without"]["counts"]["users_asked"] == found["with"]["counts"]["users_asked"] == 12


def test_a_model_that_never_answers_is_given_up(shop: Path, server: Peer) -> None:
    with pytest.raises(DataError, match="no order for any of the first 10 users: unreadable"):
        compared(shop, settings(server, "refuses"))
    assert len(server.asked) == 10


def test_lists_it_gave_no_order_for_are_as_they_were(shop: Path, server: Peer) -> None:
    found = compared(shop, settings(server, calls_per_day=20))
    assert found["cost"]["left_as_they_were"] == {"budget": 40} and len(server.asked) == 20


def test_no_language_model_is_an_error(shop: Path) -> None:
    with pytest.raises(ConfigError, match=r'language\.kind = "off"'):
        compared(shop, LanguageSettings.parse({}))


def test_the_command_prints_it(shop: Path, server: Peer) -> None:
    file = shop / "language.toml"
    file.write_text(f'[language]\nkind = "endpoint"\nurl = "{server.url}"\nmodel = "overlap"\nbudget_ms = 20000\n')
    asked = ["evaluate", str(shop / "run" / "artifact"), str(shop / "shop.toml")]
    more = ["--language", str(file), "--users", "20", "--set", "language.calls_per_minute=1000"]
    done = CliRunner().invoke(app, [*asked, *more])
    assert done.exit_code == 0, done.output
    assert "popularity: 20 users on the test side" in done.output and "20 calls, 2,000 tokens read" in done.output
    told = json.loads(CliRunner().invoke(app, [*asked, *more, "--json"]).output.splitlines()[-1])
    assert told["cost"]["calls"] == {"order": 20}
    for wrong, said in ((["--users", "3"], "--language FILE"), ([*more, "--side", "train"], "test or validation")):
        done = CliRunner().invoke(app, [*asked, *wrong])
        assert done.exit_code == 2 and said in done.output + done.stderr
