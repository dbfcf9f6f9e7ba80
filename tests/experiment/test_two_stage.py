"""A two-stage run: in a world where what people choose is of the colour they chose before, and popular, only a ranker sees both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serve.worlds import opened as served

from tastemaker.errors import ArtifactError, ConfigError, DataError
from tastemaker.experiment.any_config import read_any
from tastemaker.experiment.ledger import Ledger
from tastemaker.experiment.result import RunResult
from tastemaker.experiment.run import evaluate_artifact
from tastemaker.experiment.stage_config import StageConfig
from tastemaker.experiment.two_stage import stage_run
from tastemaker.recommend import artifact
from tastemaker.recommend.recommender import Recommender
from tastemaker.train.loop import Record
from tastemaker.wire.bodies import ItemBody

USERS, ITEMS, COLOURS, DAY = 600, 240, 8, 86_400


def shop(folder: Path) -> None:
    """Everybody has a colour and buys a handful of things of it over 100 days, popular ones more often than others."""
    draw = np.random.default_rng(0)
    colour = np.arange(ITEMS) % COLOURS
    weight = 1 / (1 + np.arange(ITEMS) // COLOURS) ** 0.8
    user, item, time = [], [], []
    for one in range(USERS):
        taste = draw.integers(COLOURS)
        share = np.where(colour == taste, 40.0, 1.0) * weight
        count = int(draw.integers(4, 8))
        user += [f"u{one}"] * count
        item += [f"i{place}" for place in draw.choice(ITEMS, count, replace=False, p=share / share.sum())]
        time += (1_600_000_000 + draw.integers(0, 100 * DAY, count)).tolist()
    pq.write_table(pa.table({"user": user, "item": item, "time": time}), folder / "events.parquet")
    names = [f"i{place}" for place in range(ITEMS)]
    prices = draw.lognormal(size=ITEMS)
    pq.write_table(
        pa.table({"item": names, "colour": [f"c{one}" for one in colour], "price": prices}), folder / "items.parquet"
    )
    pq.write_table(
        pa.table({"user": [f"u{one}" for one in range(USERS)], "age": draw.integers(20, 70, USERS)}), folder / "users.parquet"
    )


def config(folder: Path, **sections: dict[str, Any]) -> StageConfig:
    tree: dict[str, dict[str, Any]] = {
        "data": {"events": "events.parquet", "items": "items.parquet", "users": "users.parquet"},
        "split": {"kind": "by_time", "test_share": 0.25, "validation_share": 0.35},
        "sources": {"popularity": {"depth": 60}, "knn": {"model": "item_knn", "depth": 60}},
        "ranker": {"name": "deepfm", "hidden": [32], "dim": 8},
        "train": {"epochs": 12, "learning_rate": 0.005, "threads": 1, "device": "cpu", "calibrate": "platt"},
        "evaluate": {"metrics": ["ndcg", "recall"], "ks": [10]},
    }
    for name, values in sections.items():
        tree[name] = tree.get(name, {}) | values
    return StageConfig.parse(tree, folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("stages")
    shop(folder)
    return stage_run(config(folder), folder / "run", ledger=Ledger(folder))


def test_the_ranker_beats_each_source_and_all_of_them_added_up(run: RunResult) -> None:
    row = run.report["comparison"]["metrics"]["ndcg@10"]
    for rival in ("popularity", "knn", "merged"):
        # a rival's verdict: it is worse than both stages, p corrected
        assert row[rival]["p_holm"] < 0.01 and row[rival]["difference"] < 0, (rival, row[rival])


def test_the_report_tells_what_each_stage_gives(run: RunResult) -> None:
    recall = run.report["retrieval"]["recall"]
    assert set(recall) == {"popularity", "knn", "pool"}
    assert max(recall["popularity"], recall["knn"]) <= recall["pool"] <= 1
    assert 60 <= run.report["retrieval"]["candidates"] <= 120
    assert set(run.report["baselines"]) == {"popularity", "knn", "merged"}
    assert {"like.colour", "ratio.price", "popularity.168h", "score.knn", "user.age"} <= {
        field["name"] for field in run.report["data"]["fields"]
    }
    assert set(run.tests()) == {"model", "popularity", "knn", "merged"}


def test_the_artifact_answers_as_the_run_did(run: RunResult) -> None:
    recommender = run.recommender
    assert recommender.stages is not None
    users = [f"u{one}" for one in range(20)]
    answers = recommender.recommend_many(users, 5)
    assert all(len(answer) == 5 for answer in answers)
    single = [recommender.recommend(user, 5) for user in users]
    assert [[one.item for one in answer] for answer in answers] == [[one.item for one in answer] for answer in single]
    seen = {user: set(recommender.history(user)) for user in users}
    assert all(one.item not in seen[user] for user, answer in zip(users, answers, strict=True) for one in answer)
    only = recommender.recommend("u0", 5, allow=["i8", "i9", "i10"], include_seen=True)
    assert {one.item for one in only} == {"i8", "i9", "i10"}
    nobody = recommender.recommend("nobody", 5)  # popularity is a source, so there is something to rank
    assert len(nobody) == 5 and nobody.fallback == ""
    # who has bought of a colour gets that colour
    answer = recommender.recommend_history(["i3", "i11", "i19"], 5)
    assert np.mean([int(one.item[1:]) % COLOURS == 3 for one in answer]) >= 0.6


def test_a_saved_recommender_is_the_same_when_saved_again(run: RunResult, tmp_path: Path) -> None:
    artifact.save(run.recommender, tmp_path / "again")
    again = artifact.load(tmp_path / "again")
    for user in ("u1", "u2", "u3"):
        assert again.recommend(user, 10) == run.recommender.recommend(user, 10)


@pytest.mark.parametrize(
    "name", ["ranker.safetensors", "features.arrow", "source-1.safetensors", "popularity.arrow", "profiles.arrow"]
)
def test_a_damaged_file_is_refused(run: RunResult, tmp_path: Path, name: str) -> None:
    folder = artifact.save(run.recommender, tmp_path / "copy")
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        artifact.load(folder)


def test_the_resolved_config_repeats_the_run(run: RunResult) -> None:
    again = read_any(run.folder / "config.toml")
    assert isinstance(again, StageConfig)
    result = stage_run(again, run.folder.parent / "again", ledger=Ledger(run.folder.parent / "other"))
    assert result.report["test"]["metrics"] == run.report["test"]["metrics"]


def test_a_finished_run_is_returned_as_it_is(run: RunResult) -> None:
    wish = config(run.folder.parent)
    assert stage_run(wish, run.folder, resume=True, ledger=Ledger(run.folder.parent)).report == run.report


def test_users_are_asked_just_before_an_event_where_the_split_does(tmp_path: Path) -> None:
    shop(tmp_path)
    wish = config(
        tmp_path,
        split={"kind": "leave_last", "test_share": None, "validation_share": None},
        train={"epochs": 2, "loss": "listwise"},
    )
    result = stage_run(wish, tmp_path / "run", ledger=Ledger(tmp_path))
    assert result.report["data"]["requests"]["at"] == "events"
    assert result.report["test"]["metrics"]["ndcg@10"] > result.report["baselines"]["popularity"]["test"]["metrics"]["ndcg@10"]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"sources": {}}, "no sources"),
        ({"sources": {"ease": 3}}, "a section .sources.ease."),
        ({"sources": {"ease": {"settings": 3}}}, "settings"),
        ({"ranker": {"name": "esae"}}, "ranker 'esae'"),
        ({"sources": {"ease": {"depth": 0}}}, "depth"),
        ({"sources": {"ease": {"settings": {"lamda": 3}}}}, "lamda"),
        ({"evaluate": {"baselines": ["ease"]}}, "each source is one"),
        ({"moments": {"popularity": [300]}}, "216"),
    ],
)
def test_what_a_config_gets_wrong_is_said(tmp_path: Path, sections: dict[str, Any], said: str) -> None:
    tree = json.loads(json.dumps({"sources": {"popularity": {}}, "ranker": {"name": "fm"}}))
    with pytest.raises(ConfigError, match=said):
        StageConfig.parse(tree | sections, tmp_path)


def test_events_without_times_are_refused(tmp_path: Path) -> None:
    shop(tmp_path)
    table = pq.read_table(tmp_path / "events.parquet").drop(["time"])
    pq.write_table(table, tmp_path / "events.parquet")
    with pytest.raises(DataError, match="times"):
        stage_run(
            config(tmp_path, split={"kind": "by_share", "validation_share": 0.2}), tmp_path / "run", ledger=Ledger(tmp_path)
        )


def test_who_has_done_nothing_gets_the_popular_list_where_every_source_reads_histories(run: RunResult) -> None:
    whole = run.recommender
    assert whole.stages is not None
    readers = replace(whole.stages, sources=whole.stages.sources[1:], predictor=None)
    recommender = Recommender(
        readers.sources[0].model, whole.users, whole.items, whole.histories, events=whole.events, stages=readers
    )
    assert recommender.recommend("nobody", 5).fallback == "popularity"
    assert recommender.recommend("u0", 5).fallback == ""


def test_a_saved_recommender_is_judged_again_by_both_its_stages(run: RunResult) -> None:
    again = evaluate_artifact(run.artifact, config(run.folder.parent))
    assert again["model"] == "two_stage"
    assert again["test"]["metrics"] == pytest.approx(
        run.report["test"]["metrics"], abs=0.02
    )  # popularity stands still at the end of the data


def test_items_and_users_it_never_saw_are_no_hindrance(run: RunResult, tmp_path: Path) -> None:
    shop(tmp_path)
    table = pq.read_table(tmp_path / "events.parquet")
    late = pa.table({"user": ["new", "u1", "new"], "item": ["fresh", "fresh", "i1"], "time": [1_700_000_000] * 3})
    pq.write_table(pa.concat_tables([table, late]), tmp_path / "events.parquet")
    assert 0 < evaluate_artifact(run.artifact, config(tmp_path))["test"]["metrics"]["ndcg@10"] < 1


def test_several_labels_are_learned_and_a_scenario_says_what_they_are_worth(tmp_path: Path) -> None:
    """Everybody looks at what is of the own colour and buys what is cheap."""
    draw = np.random.default_rng(1)
    price = np.where(np.arange(ITEMS) % 2, 1.0, 9.0) * np.exp(0.1 * draw.normal(size=ITEMS))
    rows = []
    for user in range(400):
        taste = int(draw.integers(COLOURS))
        for kind, chance in (
            ("view", np.where(np.arange(ITEMS) % COLOURS == taste, 40.0, 1.0)),
            ("buy", np.where(price < 4, 40.0, 1.0)),
        ):
            chosen = draw.choice(ITEMS, 5, replace=False, p=chance / chance.sum())
            rows += [(f"u{user}", f"i{item}", 1_600_000_000 + int(draw.integers(0, 100 * DAY)), kind) for item in chosen]
    user, item, time, kind = (list(column) for column in zip(*rows, strict=True))
    pq.write_table(pa.table({"user": user, "item": item, "time": time, "kind": kind}), tmp_path / "events.parquet")
    names = [f"i{place}" for place in range(ITEMS)]
    colours = [f"c{place % COLOURS}" for place in range(ITEMS)]
    pq.write_table(pa.table({"item": names, "colour": colours, "price": price}), tmp_path / "items.parquet")
    wish = config(
        tmp_path,
        data={"users": None, "columns": {"kind": "kind"}, "duplicates": "keep"},
        sources={"popularity": {"depth": 240}, "knn": {"model": "item_knn", "depth": 60}},
        rows={"labels": ["view", "buy"]},
        ranker={"name": "dcnv2", "hidden": [32], "dim": 8},
        train={"epochs": 10, "calibrate": None},
        objectives={"shop": {"weights": {"buy": 1.0}}, "browse": {"weights": {"view": 1.0}}},
    )
    run = stage_run(wish, tmp_path / "run", ledger=Ledger(tmp_path))
    given = run.report["tradeoffs"]
    assert set(given) == {"shop", "browse", "only view", "only buy"}
    assert given["shop"]["buy"] > 1.3 * given["browse"]["buy"] and given["browse"]["view"] > 1.3 * given["shop"]["view"]
    assert given["shop"] == given["only buy"]
    stages = run.recommender.stages
    assert stages is not None
    users = np.arange(2, 200)
    histories = run.recommender.histories.take(users)
    of_code = np.array([0.0, 0.0, *(price[int(name[1:])] for name in run.recommender.items.ids.to_pylist())])
    first, browse = (stages.lists(users, histories, 5, scenario=name).codes for name in (None, "browse"))
    assert (of_code[first] < 4).mean() > 0.85 > 0.7 > (of_code[browse] < 4).mean()
    assert np.array_equal(first, stages.lists(users, histories, 5, scenario="unheard of").codes)


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"rows": {"labels": ["view", "buy"]}, "objectives": {"shop": {"weights": {"bye": 1.0}}}}, "'bye'"),
        ({"objectives": {"shop": 3}}, "objectives.shop"),
    ],
)
def test_what_an_objective_gets_wrong_is_said(tmp_path: Path, sections: dict[str, Any], said: str) -> None:
    tree: dict[str, Any] = {"sources": {"popularity": {}}, "ranker": {"name": "mmoe"}}
    with pytest.raises(ConfigError, match=said):
        StageConfig.parse(tree | sections, tmp_path)


def test_a_kind_that_the_data_do_not_have_is_named(tmp_path: Path) -> None:
    shop(tmp_path)
    wish = config(tmp_path, rows={"labels": ["purchase"]})
    with pytest.raises(ConfigError, match="purchase"):
        stage_run(wish, tmp_path / "run", ledger=Ledger(tmp_path))


def test_a_run_that_was_cut_off_goes_on_to_the_same_end(tmp_path: Path) -> None:
    shop(tmp_path)
    wish = config(tmp_path, sources={"mf": {"depth": 60, "settings": {"dim": 8}, "train": {"epochs": 3}}}, train={"epochs": 4})
    whole = stage_run(wish, tmp_path / "whole", ledger=Ledger(tmp_path / "one"))
    for cut in (2, 5):  # within a source, and within the ranker
        seen: list[Record] = []

        def stop(record: Record, cut: int = cut, seen: list[Record] = seen) -> None:
            seen.append(record)
            if sum(one.complete for one in seen) == cut:
                raise KeyboardInterrupt

        folder, ledger = tmp_path / f"cut-{cut}", Ledger(tmp_path / f"cut-{cut}-ledger")
        with pytest.raises(KeyboardInterrupt):
            stage_run(wish, folder, ledger=ledger, on_record=stop)
        result = stage_run(wish, folder, resume=True, ledger=ledger)
        assert result.report["test"]["metrics"] == whole.report["test"]["metrics"]
        assert not [*folder.glob("source-*"), *folder.glob("checkpoint*")]


def test_a_source_may_learn_from_what_items_are(tmp_path: Path) -> None:
    shop(tmp_path)
    words = {"modalities": {"colour": {"encoder": "tfidf", "columns": ["colour"], "settings": {"dim": 8}}}}
    sources = {"alike": {"model": "content", "depth": 60, "settings": {"dim": 8}, "train": {"epochs": 2}}}
    told = config(tmp_path, content=words, sources=sources, train={"epochs": 1})
    assert StageConfig.parse(told.to_dict(), tmp_path).hash == told.hash
    result = stage_run(told, tmp_path / "run", ledger=Ledger(tmp_path))
    opened = artifact.load(result.artifact)
    assert opened.stages is not None and opened.encoding is not None
    assert opened.stages.sources[2].model.reads_contents
    again, first = evaluate_artifact(result.artifact, told)["test"]["metrics"], result.report["test"]["metrics"]
    assert again == pytest.approx(first, abs=0.02)  # popularity in windows is that of the moment the artifact was made
    (tmp_path / "served").mkdir()
    with served(tmp_path / "served", opened) as (service, _store, _clock):
        service.put_item("new", ItemBody(properties={"colour": "c1"}))
        service.refresh()
        assert service.view.stages is not None
        alike = service.view.stages.sources[2].scoring
        new, old = service.view.code("new"), service.view.code("i1")
        assert alike.encoded is not None and new in alike.encoded.codes
        np.testing.assert_allclose(
            alike.vectors[new], alike.vectors[old], rtol=1e-4, atol=1e-5
        )  # c1 too, and nothing else is told
        assert service.view.stages.sources[1].scoring.encoded is None
