"""Frames over time through a convolutional network, or through an image network and attention over time."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tastemaker.data.media.clips import frames, is_clip
from tastemaker.data.media.images import Framing, pillow
from tastemaker.encoders.parts.media import MediaEncoder, MediaSettings, Tune, plugged_network
from tastemaker.encoders.parts.tuning import TuningSettings
from tastemaker.nn.clips import Conv2Plus1d, PerFrame, TemporalAttention
from tastemaker.nn.efficientnet import EfficientNetLite0
from tastemaker.settings import Settings


class Video(MediaEncoder):
    """A column of animations (GIF, WebP, PNG), of lists of images, or of lists of frames of numbers: a vector each.

    Files come as bytes, as paths, or as structs {bytes, path}; frames of numbers as nested lists, (frames, height, width) or
    (frames, height, width, 3).

    | network | what it is | begins | `tune` that fits |
    |---|---|---|---|
    | conv | convolutions within and over frames (`Conv2Plus1d`) | at random | full |
    | attention | EfficientNet-lite0 on each frame, attention over time (`TemporalAttention`) | as trained on ImageNet; at random | last |

    `tune = "none"` leaves at random what begins so, as a baseline.

    **A network of your own**: `module = "package.module:factory"`, a callable without arguments that returns a torch module. With
    `network = "conv"` it reads float32 (n, 3, frames, size, size), about -1…1, and makes (n, d); with "attention" it reads frames
    (n, 3, size, size) and makes (n, d), and the attention over time is still here.
    """

    reads: ClassVar[str] = "video"

    class Config(MediaSettings):
        """Settings of `video`."""

        network: Literal["conv", "attention"] = Field(
            "conv",
            description="conv: convolutions over space and time; attention: an image network on each frame, then attention",
        )
        dim: int = Field(64, ge=4, multiple_of=4, description="length of a vector")
        frames: int = Field(8, ge=1, le=256, description="frames that are seen, as far apart as can be")
        size: int = Field(64, ge=16, le=512, description="of a side of the square that the network sees, in pixels")
        framing: Framing = Field(
            "stretch", description="crop: the middle, in proportion; stretch: all of it, out of proportion"
        )
        channels: tuple[int, ...] = Field((16, 32, 64), min_length=1, description="of each layer of conv, multiples of 4")
        max_pixels: int = Field(16_000_000, ge=1, description="clips of larger frames are rejects")
        tune: Tune = Field("full", description="what is fitted to what users take next: nothing, what is last, or all of it")
        tuning: TuningSettings = Field(TuningSettings.parse({}), description="how it is fitted, where tune is not none")

        @model_validator(mode="after")
        def _has_effect(self) -> Self:
            if self.network == "attention":
                self.without_effect(["channels"], 'with network = "attention"')
            elif self.module is not None:
                self.without_effect(["dim", "channels"], "on a network of your own")
            return self

    def __init__(self, config: Settings) -> None:
        pillow()
        with torch.random.fork_rng(devices=[]):
            given: Any = config
            torch.manual_seed(given.tuning.seed)
            net = _network(given)
        super().__init__(config, net)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.config.frames, self.config.size, self.config.size, 3

    def readable(self, kind: pa.DataType) -> bool:
        return is_clip(kind)

    def decode(self, cell: Any) -> np.ndarray | None:
        config = self.config
        return frames(cell, config.frames, config.size, config.framing, config.max_pixels, self.folder, config.max_bytes)

    def prepared(self, arrays: Tensor) -> Tensor:
        return (arrays.permute(0, 4, 1, 2, 3).float() - 127) / 128


def _network(config: Any) -> nn.Module:
    own = plugged_network(config.module, "module") if config.module else None
    if config.network == "conv":
        return own or Conv2Plus1d(config.dim, config.channels)
    frame = own or EfficientNetLite0()
    with torch.inference_mode():
        width = frame.eval()(torch.zeros(1, 3, config.size, config.size)).shape[-1]
    return nn.Sequential(PerFrame(frame), TemporalAttention(width, config.frames, config.dim, heads=4))
