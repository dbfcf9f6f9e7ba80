"""Sounds as log-mel spectrograms through a small convolutional network that the catalogue's own users train."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field, model_validator
from torch import Tensor

from tastemaker.data.features.columns import is_list
from tastemaker.data.media.cells import content, is_file
from tastemaker.data.media.sounds import listed, waveform
from tastemaker.encoders.parts.media import MediaEncoder, MediaSettings, Tune, plugged_network
from tastemaker.encoders.parts.tuning import TuningSettings
from tastemaker.nn.clips import SoundCNN
from tastemaker.nn.mel import LogMel
from tastemaker.settings import Settings


class Audio(MediaEncoder):
    """A column of bytes, of paths, or of structs {bytes, path} of WAV files, or of lists of samples: a vector each.

    The beginning of each sound is read, one channel at one rate; what is shorter is followed by silence. As no weights come with it,
    the network begins at random and is fitted to what users take next; `tune = "none"` leaves it at random, as a baseline.

    **A network of your own**: `module = "package.module:factory"`, a callable without arguments that returns a torch module which reads
    float32 (n, 1, mels, frames), (log₁₀ power + 4) / 4 of mel bands each 10 ms (`tastemaker.nn.mel`), and makes (n, d).
    """

    reads: ClassVar[str] = "audio"

    class Config(MediaSettings):
        """Settings of `audio`."""

        dim: int = Field(64, ge=1, description="length of a vector")
        rate: int = Field(
            16_000, ge=1_000, le=192_000, description="samples a second that sounds are brought to; of lists, theirs"
        )
        seconds: float = Field(10.0, gt=0, le=3_600, description="of a sound that are read")
        mels: int = Field(64, ge=8, le=512, description="bands of frequencies")
        channels: tuple[int, ...] = Field((16, 32, 64, 64), min_length=1, description="of each layer, multiples of 4")
        tune: Tune = Field("full", description="what is fitted to what users take next: nothing, the last layer, or all of it")
        tuning: TuningSettings = Field(TuningSettings.parse({}), description="how it is fitted, where tune is not none")

        @model_validator(mode="after")
        def _has_effect(self) -> Self:
            if self.module is not None:
                self.without_effect(["dim", "channels"], "on a network of your own")
            return self

    def __init__(self, config: Settings) -> None:
        given: Any = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(given.tuning.seed)
            net = plugged_network(given.module, "module") if given.module else SoundCNN(given.dim, given.channels, given.mels)
        self._samples = round(given.rate * given.seconds)
        spectrum = LogMel(given.rate, given.mels)
        self._shape = (given.mels, spectrum.frames(self._samples))
        super().__init__(config, net)
        self.spectrum = spectrum

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    def readable(self, kind: pa.DataType) -> bool:
        inner = kind.value_type if is_list(kind) else pa.int8()
        return is_file(kind) or (is_list(kind) and (pa.types.is_floating(inner) or pa.types.is_null(inner)))

    def decode(self, cell: Any) -> np.ndarray | None:
        rate, seconds = self.config.rate, self.config.seconds
        if isinstance(cell, list):
            if not cell:
                return None
            samples = listed(cell, rate, seconds)
        else:
            data = content(cell, self.folder, self.config.max_bytes)
            if data is None:
                return None
            samples = waveform(data, rate, seconds)
        whole = np.zeros(self._samples, np.float32)
        whole[: len(samples)] = samples[: self._samples]
        with torch.inference_mode():
            found: np.ndarray = self.spectrum(torch.from_numpy(whole)).numpy()
        return found

    def prepared(self, arrays: Tensor) -> Tensor:
        return arrays.unsqueeze(1)
