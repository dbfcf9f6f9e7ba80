"""A generation model in a folder of `transformers`, on this machine; one reply at a time."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import torch

from tastemaker.errors import ConfigError, MissingExtraError
from tastemaker.recommend.language.prompts import Prompt
from tastemaker.recommend.language.settings import LanguageSettings
from tastemaker.recommend.language.speaker import NoAnswerError, Said


class Local:
    """Writes greedily: equal prompts get equal replies. Weights are read from safetensors alone, and no code of the folder is run."""

    def __init__(self, settings: LanguageSettings) -> None:
        """Loads the model.

        Raises:
            ConfigError: the folder holds none.
            MissingExtraError: `transformers` is missing.
        """
        try:
            import transformers
        except ImportError:
            raise MissingExtraError("transformers", "text", 'language.kind = "local"') from None
        folder = Path(settings.model)
        if not (folder / "config.json").is_file():
            raise ConfigError(
                f"language.model = {settings.model!r}, which is no folder with a config.json", expected="a folder of a model"
            )
        sources: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **sources)
            self._model = transformers.AutoModelForCausalLM.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, **sources
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ConfigError(
                f"the model in {settings.model!r} cannot be read: {error}",
                expected="a generation model with its tokenizer and weights as safetensors",
            ) from None
        self._model.eval()
        self.name, self._most, self._lock = f"{folder.resolve()} {settings.max_tokens}", settings.max_tokens, threading.Lock()

    def say(self, prompt: Prompt, seconds: float) -> Said:
        """See `Speaker.say`."""
        until = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            raise NoAnswerError("slow")
        try:
            tokens = self._tokens(prompt)
            room = getattr(self._model.config, "max_position_embeddings", None)
            if room is not None and tokens["input_ids"].shape[1] + self._most > room:
                raise NoAnswerError("too_long")
            with torch.inference_mode():
                written = self._model.generate(
                    **tokens,
                    max_new_tokens=self._most,
                    max_time=max(until - time.monotonic(), 0.001),
                    do_sample=False,
                    pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id or 0,
                )
        finally:
            self._lock.release()
        fresh = written[0, tokens["input_ids"].shape[1] :]
        text = str(self._tokenizer.decode(fresh, skip_special_tokens=True))
        return Said(text, int(tokens["input_ids"].shape[1]), len(fresh))

    def close(self) -> None:
        """Nothing to end."""

    def _tokens(self, prompt: Prompt) -> Any:
        if getattr(self._tokenizer, "chat_template", None):
            messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
            return self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
            )
        return self._tokenizer(f"{prompt.system}\n\n{prompt.user}\n\n", return_tensors="pt")
