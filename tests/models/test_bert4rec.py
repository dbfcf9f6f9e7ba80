"""BERT4Rec guesses what was masked from both sides, and answers with a mask behind the newest event."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tastemaker.data import synthetic
from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Batch, Query
from tastemaker.models.bert4rec import BERT4Rec
from tastemaker.train.config import TrainConfig
from tastemaker.train.trainer import train


def _model(**settings):
    torch.manual_seed(0)
    given = {"dim": 8, "max_length": 6, "dropout": 0.0, "init": 0.3} | settings
    return BERT4Rec(BERT4Rec.Config(**given), FeatureSchema(9, 30))


def _query(*rows):
    return Query.of(np.full(len(rows), 2), Histories.of([list(row) for row in rows]))


def _batch(*rows):
    query = _query(*rows)
    return Batch(query, query.items, query.values, query.values)


def _naive(model, row):
    """The last state of a row of items, None standing for a mask: one row, plain attention over all of it."""
    vectors = [model.mask if item is None else model.item_embedding.weight[item] for item in row]
    places = torch.arange(len(row) - 1, -1, -1)
    x = model.norm_input(torch.stack(vectors) + model.position_embedding(places))
    for block in model.blocks:
        q, k, v = block.attention.project(block.norm_attention(x)).chunk(3, dim=1)
        heads = []
        for part in torch.arange(q.shape[1]).chunk(model.config.heads):
            weights = (q[:, part] @ k[:, part].T / len(part) ** 0.5).softmax(-1)
            heads.append(weights @ v[:, part])
        x = x + block.attention.mix(torch.cat(heads, dim=1))
        x = x + block.mlp(block.norm_mlp(x))
    return x


def _states(model, row):
    return F.pad(model.head(_naive(model, row)), (0, 1), value=1.0)


def test_a_user_is_the_state_of_a_mask_behind_the_newest_event():
    model = _model().eval()
    rows = [[3, 4, 5], [], [7], [9, 8, 7, 6, 5, 4]]
    expected = torch.stack([_states(model, [*row, None])[-1] for row in rows])
    torch.testing.assert_close(model.encode_user(_query(*rows)), expected, rtol=1e-4, atol=1e-5)


def test_masked_events_are_told_from_both_sides_and_from_their_own_row_alone():
    model = _model(mask=0.5, last=0.2).train()
    rows = [[3, 4, 5, 6, 7, 8, 9], [10, 11], [12, 13, 14, 15, 16], [17, 18, 19]]
    for seed in range(5):
        torch.manual_seed(seed)
        encoded = model.encode_batch(_batch(*rows))
        masked, expected, start = set(encoded.asked.tolist()), [], 0
        for row in rows:
            seen = [None if start + place in masked else item for place, item in enumerate(row)]
            expected.append(_states(model, seen)[[item is None for item in seen]])
            start += len(row)
        torch.testing.assert_close(encoded.users, torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_what_is_masked_does_not_show():
    model = _model(last=1.0).train()
    one, two = (model.encode_batch(_batch([3, 4, item], [5, 6])) for item in (7, 9))
    assert one.asked.tolist() == [2, 4]
    assert torch.equal(one.users, two.users)


@pytest.mark.parametrize(("mask", "last"), [(0.2, 0.0), (0.2, 0.3), (0.6, 0.1)])
def test_the_share_of_masked_events_is_what_the_settings_say(mask, last):
    model, length, rows = _model(mask=mask, last=last).train(), 7, 6000
    asked = model.encode_batch(_batch(*[range(3, 3 + length)] * rows)).asked
    hits = torch.zeros(rows * length).index_fill_(0, asked, 1.0).view(rows, length)
    nothing = (1 - mask) ** length
    inside = (1 - last) * mask
    newest = (1 - last) * (mask + nothing) + last
    expected = torch.tensor([inside] * (length - 1) + [newest])
    torch.testing.assert_close(hits.mean(0), expected, rtol=0, atol=4 * 0.5 / rows**0.5)
    assert bool((hits.sum(1) >= 1).all())


def test_masks_differ_from_epoch_to_epoch_and_come_from_the_global_generator():
    model, batch = _model().train(), _batch(*[range(3, 10)] * 20)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(model.encode_batch(batch).asked.tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_cloze_teaches_what_comes_next():
    world = synthetic.chain(40, 10, 6)
    torch.manual_seed(0)
    config = BERT4Rec.Config(dim=32, heads=1, blocks=1, max_length=5, mask=0.3, dropout=0.0, init=0.2)
    model = BERT4Rec(config, world.dataset.schema)
    settings = TrainConfig(epochs=80, learning_rate=0.005, batch_targets=120, device="cpu", threads=1)
    for _ in train(model, world.dataset.interactions, settings):
        pass
    scores = model.score(Query.of(world.users, world.histories)).detach().numpy()
    scores[:, :2] = -np.inf
    assert world.hit_share(scores.argsort(axis=1)[:, ::-1][:, :1]) >= 0.95


def test_length_and_dropout_left_open_follow_the_data():
    data = synthetic.chain().dataset.interactions
    chosen = BERT4Rec.adapt(BERT4Rec.Config(mask=0.5, dropout=0.25), data)
    assert (chosen.max_length, chosen.dropout, chosen.mask) == (10, 0.25, 0.5)
