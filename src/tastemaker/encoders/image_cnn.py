"""Pictures through a convolutional network, by default EfficientNet-lite0 as it was trained on ImageNet."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field, model_validator
from torch import Tensor

from tastemaker.data.media.cells import content, is_file
from tastemaker.data.media.images import Framing, pillow, square
from tastemaker.encoders.parts.media import MediaEncoder, MediaSettings, Tune, plugged_network
from tastemaker.encoders.parts.tuning import TuningSettings
from tastemaker.nn.efficientnet import EfficientNetLite0
from tastemaker.settings import Settings


class ImageCNN(MediaEncoder):
    """A column of bytes, of paths, or of structs {bytes, path} of images: a vector each, 1280 numbers with the network that is here.

    JPEG, PNG, WebP, GIF, TIFF, BMP and others, grey, CMYK, with a palette, transparent (laid on white) or of 16 bits; of an
    animation the first frame; turned as EXIF says. Files that are damaged, too large, or no images are counted by reason.

    **A network of your own**: `module = "package.module:factory"` names a callable without arguments that returns a torch module;
    it reads float32 (n, 3, size, size), (value - mean) / deviation of red, green and blue between 0 and 1, and makes (n, d). What
    it loads, it loads from this machine by itself; its weights are saved with the encoder and name its version.

    ```python
    def factory() -> nn.Module:  # in yourpackage/nets.py
        net = YourNetwork()
        net.load_state_dict(safetensors.torch.load_file("/models/yours.safetensors"))
        return net
    ```
    """

    reads: ClassVar[str] = "image"

    class Config(MediaSettings):
        """Settings of `image_cnn`."""

        size: int = Field(224, ge=16, le=1024, description="of a side of the square that the network sees, in pixels")
        framing: Framing = Field(
            "stretch", description="crop: the middle, in proportion; stretch: all of it, out of proportion"
        )
        mean: tuple[float, float, float] = Field((127 / 255,) * 3, description="of red, green and blue between 0 and 1")
        deviation: tuple[float, float, float] = Field((128 / 255,) * 3, description="of red, green and blue")
        max_pixels: int = Field(64_000_000, ge=1, description="larger images are rejects")
        tune: Tune = Field(
            "none",
            description="what is fitted to what users take next: nothing, the network's last block or layer (what comes before it is "
            "worked out once), or all of it",
        )
        tuning: TuningSettings = Field(
            TuningSettings.parse({"learning_rate": 1e-4, "batch": 32}), description="how it is fitted, where tune is not none"
        )

        @model_validator(mode="after")
        def _has_effect(self) -> Self:
            if self.tune == "none":
                self.without_effect(["tuning"], 'with tune = "none"')
            return self

    def __init__(self, config: Settings) -> None:
        given: Any = config
        pillow()
        self._mean, self._deviation = (torch.tensor(one).view(3, 1, 1) for one in (given.mean, given.deviation))
        net = plugged_network(given.module, "module") if given.module else EfficientNetLite0()
        super().__init__(config, net)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.config.size, self.config.size, 3

    def readable(self, kind: pa.DataType) -> bool:
        return is_file(kind)

    def decode(self, cell: Any) -> np.ndarray | None:
        data = content(cell, self.folder, self.config.max_bytes)
        return None if data is None else square(data, self.config.size, self.config.framing, self.config.max_pixels)

    def prepared(self, arrays: Tensor) -> Tensor:
        values = arrays.permute(0, 3, 1, 2).float() / 255  # channels last in memory, as the network likes them
        return (values - self._mean.to(values.device)) / self._deviation.to(values.device)
