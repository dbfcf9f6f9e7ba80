import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tastemaker.errors import ArtifactError, RequestError
from tastemaker.recommend import artifact, sealed
from tastemaker.serve.registry import Registry, beside, checked
from tastemaker.serve.settings import GateSettings
from tastemaker.store.base import open_store


@pytest.fixture
def registry(store):
    return Registry(store)


def _flip(folder):
    path = folder / "weights.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 0x10
    path.write_bytes(raw)


def _truncate(folder):
    path = folder / "histories.arrow"
    path.write_bytes(path.read_bytes()[:-64])


def _swap(folder):
    shutil.copy(folder / "users.arrow", folder / "items.arrow")


def _nan(folder):
    """A consistent artifact with NaN among its weights: hashes agree."""
    weights = load_file(folder / "weights.safetensors")
    weights["weights"][3, 4] = torch.nan
    save_file(weights, folder / "weights.safetensors")
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = manifest["files"]["weights.safetensors"]
    facts["sha256"] = sealed._hash(folder / "weights.safetensors")
    manifest["sha256"] = "0" * 64
    text = json.dumps(manifest)
    import hashlib

    (folder / "manifest.json").write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1))


def _lose(folder):
    (folder / "items.arrow").unlink()


def _stranger(folder):
    (folder / "code.py").write_text("print('hello')")


DAMAGE = {"flip": _flip, "truncate": _truncate, "swap": _swap, "nan": _nan, "lose": _lose, "stranger": _stranger}


def test_a_version_is_a_folder_a_row_and_a_candidate(registry, artifacts):
    version = registry.add(artifacts / "good", "shop", {"note": "first"})
    assert (version.name, version.version, version.state) == ("shop", 1, "candidate")
    assert version.path == str(registry.folder / "shop" / "1")
    assert version.facts["model"] == "ease"
    assert version.facts["note"] == "first"
    assert registry.load(version).recommend("u2", 3) == artifact.load(artifacts / "good").recommend("u2", 3)
    assert registry.add(artifacts / "weak", "shop").version == 2
    assert registry.find("shop", 1) == version


def test_versions_are_beside_the_sqlite_file(registry, tmp_path):
    assert registry.folder == tmp_path / "models"
    assert str(beside("postgresql://me@db/shop")) == "models"
    assert str(beside("sqlite:////var/lib/shop.db")) == "/var/lib/models"


@pytest.mark.parametrize("name", ["..", "../up", "a/b", "/etc", "", ".hidden", "a\0b", "a\\b", "x" * 65, "-rf", "ü", "a\n"])
def test_a_name_cannot_lead_out_of_the_folder(registry, artifacts, name):
    with pytest.raises(RequestError) as caught:
        registry.add(artifacts / "good", name)
    assert caught.value.code == "bad_name"
    with pytest.raises(RequestError):
        registry.promote(name, 1)
    assert not registry.folder.exists()


def test_names_with_dots_stay_inside(registry):
    assert (registry.folder / checked("a..b")).resolve().parent == registry.folder.resolve()


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_artifact_is_not_taken_in(registry, artifacts, tmp_path, damage):
    shutil.copytree(artifacts / "good", tmp_path / "bad")
    damage(tmp_path / "bad")
    with pytest.raises(ArtifactError):
        registry.add(tmp_path / "bad", "shop")
    assert registry.store.models() == []
    assert [path.name for path in (registry.folder / "shop").iterdir()] == [".lock"]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_version_damaged_later_is_refused_and_the_old_one_serves_on(registry, artifacts, damage, tmp_path):
    served = []
    watch = registry.watch(lambda recommender, version: served.append(version.version))
    registry.promote("shop", registry.add(artifacts / "weak", "shop").version)
    watch.look()
    second = registry.add(artifacts / "good", "shop")
    damage(tmp_path / "models" / "shop" / "2")
    with pytest.raises(ArtifactError):
        registry.promote("shop", second.version)
    with pytest.raises(ArtifactError):
        registry.promote("shop", second.version, force=True)
    assert registry.find("shop", 2).state == "refused"
    assert registry.current().version == 1
    # even where another process had promoted it before it was damaged
    registry.store.set_model("shop", 2, state="promoted")
    watch.look()
    assert served == [1]
    assert watch.problem.startswith("shop 2: ")
    assert watch.serving.version == 1


def test_promote_asks_the_gate_and_keeps_its_report(registry, artifacts):
    registry.add(artifacts / "good", "shop")
    registry.add(artifacts / "shuffled", "shop")
    promoted = registry.promote("shop", 1)
    assert promoted.state == "promoted"
    assert promoted.facts["gate"]["passed"] is True
    assert promoted.facts["gate"]["metrics"]["candidate"]["ndcg@10"]["value"] > 0.9
    with pytest.raises(RequestError) as caught:
        registry.promote("shop", 2)
    assert (caught.value.code, caught.value.status) == ("gate_refused", 409)
    refused = registry.find("shop", 2)
    assert refused.state == "refused"
    assert "worse than the model in use" in " ".join(refused.facts["gate"]["reasons"])
    assert registry.current().version == 1


def test_force_promotes_what_the_gate_refused(registry, artifacts):
    registry.add(artifacts / "shuffled", "shop")
    with pytest.raises(RequestError):
        registry.promote("shop", 1)
    assert registry.promote("shop", 1, force=True).facts["forced"] is True


def test_rollback_goes_back_step_by_step(registry, artifacts):
    for name, which in (("a", "weak"), ("b", "good"), ("a", "good")):
        version = registry.add(artifacts / which, name)
        registry.promote(name, version.version)
    current = registry.current()
    assert (current.name, current.version) == ("a", 2)
    assert [(one.name, one.version) for one in (registry.rollback(), registry.rollback())] == [("b", 1), ("a", 1)]
    assert (registry.current().name, registry.current().version) == ("a", 1)
    with pytest.raises(RequestError) as caught:
        registry.rollback()
    assert caught.value.code == "no_earlier_version"
    assert [one.state for one in registry.store.models("b")] == ["retired"]


def test_old_versions_lose_their_files_and_those_to_go_back_to_do_not(store, artifacts, tmp_path):
    registry = Registry(store, limits=GateSettings(keep_versions=2, min_users=2))
    for _ in range(2):
        registry.promote("early", registry.add(artifacts / "good", "early").version, force=True)
    for _ in range(5):
        version = registry.add(artifacts / "good", "shop")
        Path(version.path).with_name(f"{version.version}.map.npz").touch()
    registry.promote("shop", 2, force=True)
    folders = {f"{path.parent.name}/{path.name}" for path in (tmp_path / "models").glob("*/*") if path.is_dir()}
    assert folders == {"early/1", "early/2", "shop/2", "shop/4", "shop/5"}
    assert {path.name for path in (tmp_path / "models" / "shop").glob("*.map.npz")} == {f"{n}.map.npz" for n in (2, 4, 5)}
    assert {one.version for one in store.models("shop") if one.facts.get("pruned")} == {1, 3}
    with pytest.raises(ArtifactError):
        registry.promote("shop", 1, force=True)
    assert [registry.rollback().name for _ in range(2)] == ["early", "early"]


def test_rollback_to_a_damaged_version_changes_nothing(registry, artifacts, tmp_path):
    for _ in range(2):
        registry.promote("shop", registry.add(artifacts / "good", "shop").version)
    _flip(tmp_path / "models" / "shop" / "1")
    with pytest.raises(ArtifactError):
        registry.rollback()
    assert registry.current().version == 2


def test_an_unknown_version_is_404(registry, artifacts):
    registry.add(artifacts / "good", "shop")
    with pytest.raises(RequestError, match="versions: 1") as caught:
        registry.promote("shop", 7)
    assert caught.value.status == 404


def test_a_model_that_knows_an_erased_user_is_not_taken_in(registry, artifacts):
    registry.store.erase_user("u9")
    with pytest.raises(ArtifactError, match="1 erased users"):
        registry.add(artifacts / "good", "shop")


def test_a_promotion_in_another_process_is_followed(registry, artifacts, tmp_path):
    served = []
    watch = registry.watch(
        lambda recommender, version: served.append((version.name, version.version, recommender)), seconds=0.05
    )
    watch.start()
    try:
        other = Registry(open_store(registry.store.url))
        other.promote("shop", other.add(artifacts / "good", "shop").version)
        _until(lambda: served)
        other.promote("late", other.add(artifacts / "good", "late").version)
        _until(lambda: len(served) == 2)
        other.store.close()
    finally:
        watch.stop()
    assert [one[:2] for one in served] == [("shop", 1), ("late", 1)]
    assert len(served[1][2].recommend("u2", 3)) == 3


def test_a_callback_that_fails_keeps_the_old_version(registry, artifacts):
    registry.promote("shop", registry.add(artifacts / "good", "shop").version)
    calls = []

    def callback(recommender, version):
        calls.append(version.version)
        if version.version == 2:
            raise RuntimeError("no memory to warm it up")

    watch = registry.watch(callback)
    watch.look()
    registry.promote("shop", registry.add(artifacts / "good", "shop").version)
    watch.look()
    watch.look()  # not tried again at once
    assert calls == [1, 2]
    assert watch.serving.version == 1
    registry.rollback()
    watch.look()
    assert watch.problem == ""


def test_a_service_that_starts_with_a_damaged_version_serves_the_one_before(registry, artifacts, tmp_path):
    for name in ("a", "b", "c"):
        registry.promote(name, registry.add(artifacts / "good", name).version)
    _flip(tmp_path / "models" / "c" / "1")
    _lose(tmp_path / "models" / "b" / "1")
    served = []
    watch = registry.watch(lambda recommender, version: served.append(version.name))
    watch.look()
    assert served == ["a"]
    assert watch.problem.startswith("c 1: ")


def _add_and_die(url, folder, moment):
    from tastemaker.serve import registry as module

    registry = Registry(open_store(url))
    die = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
    if moment == "copying":
        copy = shutil.copy2
        module.shutil.copytree = lambda a, b: (b.mkdir(), copy(a / "manifest.json", b), die())
    elif moment == "moving":
        module._sync = die
    else:
        registry.store.add_model = die
    registry.add(folder, "shop")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("moment", ["copying", "moving", "entering"])
def test_a_kill_while_a_version_is_taken_in_leaves_none_and_the_next_try_is_whole(registry, artifacts, moment):
    process = multiprocessing.get_context("fork").Process(
        target=_add_and_die, args=(registry.store.url, artifacts / "good", moment)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert registry.store.models() == []
    version = registry.add(artifacts / "good", "shop")
    assert version.version == 1
    registry.load(version)
    assert sorted(path.name for path in (registry.folder / "shop").iterdir()) == [".lock", "1"]


def test_versions_added_at_once_get_numbers_of_their_own(registry, artifacts):
    threads = [threading.Thread(target=registry.add, args=(artifacts / "good", "shop")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = registry.store.models("shop")
    assert sorted(one.version for one in found) == [1, 2, 3, 4]
    assert {one.path for one in found} == {str(registry.folder / "shop" / str(n)) for n in (1, 2, 3, 4)}
    for one in found:
        registry.load(one)


def _until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)
