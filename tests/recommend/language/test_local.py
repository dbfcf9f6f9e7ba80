"""A generation model in a folder: a tiny one, never trained, so what it writes is noise and every question falls back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tastemaker.errors import ConfigError
from tastemaker.recommend.language import Language, LanguageSettings
from tastemaker.recommend.language.local import Local
from tastemaker.recommend.language.prompts import order_prompt

transformers = pytest.importorskip("transformers")
CANDIDATES = ["Dune", "Emma", "Moby Dick"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two layers over bytes, with its tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    place = tmp_path_factory.mktemp("model")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: code for code, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(place)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=256, n_positions=2048, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(place)
    return place


def settings(folder: Path, **more: Any) -> LanguageSettings:
    return LanguageSettings.parse({"kind": "local", "model": str(folder), "max_tokens": 16, **more})


def test_equal_prompts_get_equal_replies_of_a_bounded_length(folder: Path) -> None:
    local, prompt = Local(settings(folder)), order_prompt(["Dune Messiah"], CANDIDATES)
    first = local.say(prompt, 60)
    assert first == local.say(prompt, 60)
    assert first.tokens_in > 100 and 1 <= first.tokens_out <= 16


def test_noise_is_no_order(folder: Path) -> None:
    with Language(settings(folder)) as language:
        found = language.order(["Dune Messiah"], CANDIDATES, 60)
        assert (found.places, found.problem) == ((0, 1, 2), "unreadable")
        assert language.tally.tokens["read"] > 100


def test_a_prompt_that_does_not_fit_is_not_asked(folder: Path) -> None:
    with Language(settings(folder, max_tokens=2040)) as language:
        assert language.order(["Dune Messiah"], CANDIDATES, 60).problem == "too_long"


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder with a config"):
        Local(settings(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read"):
        Local(settings(tmp_path))
