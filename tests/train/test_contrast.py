from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tastemaker.data.item_contents import FusionSettings, ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.synthetic import chain
from tastemaker.models.content import Content
from tastemaker.train.contrast import pretrain


def model() -> Content:
    """A chain whose items say where they stand: in text, and in an image that is a rotation of it."""
    world = chain()
    size = world.dataset.items.size
    rng = np.random.default_rng(0)
    text = rng.normal(size=(size, 12)).astype(np.float32)
    image = text @ np.linalg.qr(rng.normal(size=(12, 12)))[0].astype(np.float32)
    real = np.arange(size) >= 2
    contents = ItemContents(
        {"text": text, "image": image}, {"text": real, "image": real & (np.arange(size) % 5 > 0)}, FusionSettings.parse({})
    )
    torch.manual_seed(0)
    made = Content(Content.Config(dim=16), FeatureSchema(world.dataset.users.size, size, contents.schema))
    made.observe_contents(contents, world.dataset.interactions)
    return made


def test_modalities_learn_to_agree_and_the_loss_falls() -> None:
    made, train = model(), chain().dataset.interactions
    codes = torch.arange(2, made.schema.num_items)
    table = made.item_embedding

    def found() -> float:
        """Share of images whose nearest text is their own."""
        with torch.no_grad():
            x, there = table.projected(codes)
            x = F.normalize(x, dim=2)[there[:, 1]]
            return float(((x[:, 1] @ x[:, 0].T).argmax(1) == torch.arange(len(x))).float().mean())

    before = found()
    losses = pretrain(made, train, 120, seed=0)
    assert losses[-1] < 0.8 * losses[0]
    assert found() > before + 0.5


def test_it_is_the_same_again_with_the_same_seed() -> None:
    one, two, train = model(), model(), chain().dataset.interactions
    pretrain(one, train, 2, seed=3)
    pretrain(two, train, 2, seed=3)
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())
