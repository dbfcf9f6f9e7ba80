from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.recommend.worlds import Grid, recommender

from tastemaker.data.interactions import Histories
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.errors import ArtifactError
from tastemaker.recommend.artifact import FORMAT, load, read_manifest, save
from tastemaker.recommend.recommender import Recommender
from tastemaker.resolve import model_names

FILES = ["histories.arrow", "items.arrow", "manifest.json", "users.arrow", "weights.safetensors"]
every_model = pytest.mark.parametrize("name", model_names())


@pytest.fixture
def folder(tmp_path) -> Path:
    return save(recommender("item_knn"), tmp_path / "artifact")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return save(recommender("sasrec"), tmp_path_factory.mktemp("fuzz") / "artifact", metrics={"ndcg@10": 0.25}, seed=3)


def answers(ours: Recommender) -> list:
    everyone = [*ours.users.ids.to_pylist(), "nobody"]
    lists = ours.recommend_many(everyone, 6, reasons=True) + [ours.similar(item, 5) for item in ours.items.ids.to_pylist()[:4]]
    return [
        [answer.fallback, *([str(one.item), one.score.hex(), one.name, [why.text for why in one.reasons]] for one in answer)]
        for answer in lists
    ]


def reseal(folder: Path, change=lambda facts: None) -> None:
    """Writes the manifest as a forger would: changed, with every hash right again."""
    facts = json.loads((folder / "manifest.json").read_text())
    for name, entry in facts["files"].items():
        content = (folder / name).read_bytes()
        entry.update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    change(facts)
    facts["sha256"] = "0" * 64
    text = json.dumps(facts, indent=2)
    (folder / "manifest.json").write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1))


@every_model
def test_answers_are_the_same_bit_for_bit_after_a_round_trip(name, tmp_path):
    ours = recommender(name)
    back = load(save(ours, tmp_path / name))
    assert answers(back) == answers(ours)
    assert back.model.config == ours.model.config
    assert back.catalogue.equals(ours.catalogue)
    assert back.events.tolist() == ours.events.tolist()
    for field in ("items", "times", "values", "offsets"):
        assert np.array_equal(getattr(back.histories, field), getattr(ours.histories, field))
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == FILES


@pytest.mark.parametrize("name", ["ease", "sasrec"])
def test_answers_are_the_same_in_another_process(name, tmp_path):
    ours = recommender(name)
    folder = save(ours, tmp_path / "artifact")
    program = (
        "import sys, json, torch; torch.set_num_threads(1); sys.path[:0] = [sys.argv[2]]\n"
        "from tests.recommend.test_artifact import answers, load\n"
        "print(json.dumps(answers(load(sys.argv[1]))))"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", program, str(folder), str(root)], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == answers(ours)


def test_the_manifest_tells_what_made_it(tmp_path):
    ours = recommender("item_knn")
    metrics = {"ndcg@10": np.float64(0.25), "rmse": float("nan")}
    folder = save(ours, tmp_path / "artifact", metrics=metrics, config={"data": {"events": Path("events.csv")}}, seed=7)
    manifest = read_manifest(folder)
    assert manifest.model.name == "item_knn"
    assert manifest.model.config == ours.model.config.model_dump(mode="json")
    assert manifest.metrics == {"ndcg@10": 0.25, "rmse": None}
    assert manifest.config == {"data": {"events": "events.csv"}}
    assert (manifest.seed, manifest.format, manifest.torch) == (7, FORMAT, torch.__version__)
    assert (manifest.users, manifest.items) == (ours.users.fingerprint, ours.items.fingerprint)
    assert sorted(manifest.files) == sorted(set(FILES) - {"manifest.json"})


def test_loading_leaves_the_random_generator_alone(sound):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load(sound)
    assert torch.equal(torch.rand(3), expected)


def test_no_file_of_an_artifact_is_a_pickle(sound):
    for path in sound.iterdir():
        assert path.read_bytes()[:2] not in (b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_flipped_byte_is_noticed(sound, name, place, flip):
    content = (sound / name).read_bytes()
    broken = bytearray(content)
    broken[int(place * len(content))] ^= flip
    try:
        (sound / name).write_bytes(broken)
        with pytest.raises(ArtifactError):
            load(sound)
    finally:
        (sound / name).write_bytes(content)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), tail=st.binary(max_size=8))
def test_any_cut_or_lengthened_file_is_noticed(sound, name, place, tail):
    content = (sound / name).read_bytes()
    kept = content[: int(place * len(content))] if place else content + b"\0"
    try:
        (sound / name).write_bytes(kept + tail if kept + tail != content else b"")
        with pytest.raises(ArtifactError):
            load(sound)
    finally:
        (sound / name).write_bytes(content)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200)
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.dictionaries(st.sampled_from(["format", "sha256", "files", "model"]), inner) | st.lists(inner),
    ).map(lambda tree: json.dumps(tree).encode())
)
def test_any_other_manifest_is_refused(sound, content):
    true = (sound / "manifest.json").read_bytes()
    try:
        (sound / "manifest.json").write_bytes(content)
        with pytest.raises(ArtifactError):
            load(sound)
    finally:
        (sound / "manifest.json").write_bytes(true)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"format": NaN}', b'{"format": 1' + b"0" * 5000 + b"}", b"\xff\xfe{}", b""]
)
def test_manifests_made_to_break_parsers_are_refused(folder, content):
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactError):
        load(folder)


def test_what_is_no_artifact_is_refused_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("hello")
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(ArtifactError, match=r"no manifest.json.*hint"):
            load(place)


@pytest.mark.parametrize("name", [name for name in FILES if name != "manifest.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"no {name}"):
        load(folder)


def test_an_extra_file_is_named(folder):
    (folder / "model.pkl").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"model.pkl"):
        load(folder)


def test_a_newer_format_says_to_update(folder):
    reseal(folder, lambda facts: facts.update(format=FORMAT + 1))
    with pytest.raises(ArtifactError, match="update tastemaker"):
        load(folder)


def set_weights(folder: Path, change) -> None:
    weights = load_file(folder / "weights.safetensors")
    change(weights)
    save_file(weights, folder / "weights.safetensors")


def forge_nan(folder):
    set_weights(folder, lambda weights: weights["popularity"].fill_(float("nan")))
    reseal(folder)


def forge_shape(folder):
    set_weights(folder, lambda weights: weights.update(popularity=torch.zeros(3)))
    reseal(folder)


def forge_dtype(folder):
    set_weights(folder, lambda weights: weights.update(popularity=weights["popularity"].double()))
    reseal(folder)


def forge_lost_weight(folder):
    set_weights(folder, lambda weights: weights.pop("popularity"))
    reseal(folder)


def forge_neighbours(folder):
    set_weights(folder, lambda weights: weights["similar.columns"].fill_(2_000_000_000))
    reseal(folder)


def forge_weights(folder):
    (folder / "weights.safetensors").write_bytes(b"\xff" * 100)
    reseal(folder)


def forge_vocabulary(folder):
    table = pa.table({"id": pa.array([f"other {place}" for place in range(61)], pa.large_string())})
    write_arrow(folder / "users.arrow", table)
    reseal(folder)


def forge_size(folder):
    reseal(folder, lambda facts: facts.update(num_items=10**15))


def forge_traversal(folder):
    def change(facts):
        facts["files"]["../../etc/passwd"] = facts["files"].pop("users.arrow")

    reseal(folder, change)


def forge_model(folder):
    reseal(folder, lambda facts: facts["model"].update(name="os"))


def forge_config(folder):
    reseal(folder, lambda facts: facts["model"]["config"].update(neighbours=-1))


def forge_codes(folder):
    rows = [[2, 3_000_000]] + [[]] * 60
    write_arrow(folder / "histories.arrow", pa.table({"items": pa.array(rows, pa.large_list(pa.int32()))}))
    reseal(folder)


def forge_rows(folder):
    write_arrow(folder / "histories.arrow", pa.table({"items": pa.array([[2]], pa.large_list(pa.int32()))}))
    reseal(folder)


def forge_columns(folder):
    write_arrow(folder / "items.arrow", pa.table({"name": ["x"]}))
    reseal(folder)


def forge_arrow(folder):
    (folder / "items.arrow").write_bytes(b"ARROW1\0\0 and then nothing")
    reseal(folder)


def write_arrow(path: Path, table: pa.Table) -> None:
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize("forge", [value for name, value in sorted(globals().items()) if name.startswith("forge_")])
def test_what_does_not_fit_together_is_refused_even_with_right_hashes(folder, forge):
    reseal(folder)
    load(folder)
    forge(folder)
    with pytest.raises(ArtifactError, match="hint"):
        load(folder)


def test_saving_again_replaces_the_artifact_even_the_one_that_was_loaded(folder):
    back = load(folder)
    save(back, folder, seed=9)
    assert read_manifest(folder).seed == 9
    assert answers(load(folder)) == answers(back)
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"]


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "love.txt").write_text("dear")
    with pytest.raises(ArtifactError, match="something else"):
        save(recommender("item_knn"), tmp_path / "letters")
    assert (tmp_path / "letters" / "love.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    assert load(save(recommender("item_knn"), tmp_path / "empty"))


def test_a_model_that_diverged_is_not_saved_and_the_old_artifact_stays(folder):
    broken = load(folder)
    broken.model.popularity[3] = float("nan")
    before = read_manifest(folder)
    with pytest.raises(ArtifactError, match="popularity"):
        save(broken, folder)
    assert read_manifest(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["artifact"]


def test_infinite_parameters_are_refused_and_unset_bounds_are_not(tmp_path):
    ours = load(save(recommender("mf"), tmp_path / "bounds"))
    assert torch.isinf(ours.model.high)
    with torch.no_grad():
        ours.model.item_embedding.weight[3, 0] = float("inf")
    with pytest.raises(ArtifactError, match="item_embedding"):
        save(ours, tmp_path / "artifact")


def test_a_model_from_elsewhere_cannot_be_saved(tmp_path):
    ours = Recommender(Grid(), Vocabulary(range(28)), Vocabulary(range(38)), Histories.of([[]] * 30))
    with pytest.raises(ArtifactError, match="Grid"):
        save(ours, tmp_path / "artifact")
    assert not list(tmp_path.iterdir())


def test_a_path_that_cannot_be_written_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="hint"):
        save(recommender("item_knn"), tmp_path / "file" / "artifact")


def test_whoever_watches_never_sees_half_an_artifact(tmp_path):
    folder, seen, done, looks = tmp_path / "artifact", set(), threading.Event(), [0]

    def watch() -> None:
        while not done.is_set():
            try:
                seen.add(tuple(sorted(os.listdir(folder))))
            except FileNotFoundError:
                seen.add(())
            looks[0] += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(5):
            save(recommender("item_knn"), folder)
            folder.rename(tmp_path / "gone")
            before = looks[0]
            while looks[0] < before + 2:  # who opened it before it was renamed may still be reading
                time.sleep(0.001)
            shutil.rmtree(tmp_path / "gone")
    finally:
        done.set()
        watcher.join()
    assert seen <= {(), tuple(FILES)}
