"""BSARec mixes attention with a filter, and neither knows the future."""

from __future__ import annotations

import numpy as np
import torch

from tastemaker.data import synthetic
from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.models.base import Query
from tastemaker.models.bsarec import BSARec


def _model(**settings):
    torch.manual_seed(0)
    given = {"dim": 8, "max_length": 6, "dropout": 0.0, "init": 0.3} | settings
    return BSARec(BSARec.Config(**given), FeatureSchema(9, 30)).eval()


def _query(*rows):
    return Query.of(np.full(len(rows), 2), Histories.of([list(row) for row in rows]))


def _slow(x, window, frequencies):
    """The lowest frequencies of each prefix, zeros before it, at its newest token."""
    result = []
    for place in range(len(x)):
        padded = torch.cat([x.new_zeros(window - place - 1, x.shape[1]), x[: place + 1]])
        waves = torch.fft.rfft(padded, dim=0)
        keep = (torch.arange(len(waves)) < frequencies).unsqueeze(1)
        result.append(torch.fft.irfft(waves * keep, n=window, dim=0)[-1])
    return torch.stack(result)


def _attention(block, x, heads):
    q, k, v = block.attention.project(x).chunk(3, dim=1)
    later = torch.ones(len(x), len(x)).triu(1).bool()
    seen = []
    for part in torch.arange(q.shape[1]).chunk(heads):
        scores = (q[:, part] @ k[:, part].T / len(part) ** 0.5).masked_fill(later, -torch.inf)
        seen.append(scores.softmax(-1) @ v[:, part])
    return block.attention.mix(torch.cat(seen, dim=1))


def _by_the_paper(model, row):
    """States after each event of one row, and before the first: equations 6 to 11 one after the other."""
    config, reader = model.config, model.reader
    x = torch.cat([reader.start.unsqueeze(0), model.item_embedding.weight[row]])
    x = reader.norm_input(x + reader.position_embedding(torch.arange(len(x) - 1, -1, -1)))
    for block in reader.blocks:
        slow = _slow(x, config.max_length + 1, config.frequencies)
        rescaled = block.norm_rescaled(x + slow + block.beta**2 * (x - slow))
        attended = block.norm_attention(x + _attention(block, x, config.heads))
        mixed = config.alpha * rescaled + (1 - config.alpha) * attended
        x = block.norm_mlp(mixed + block.mlp(mixed))
    return x


def test_every_vector_is_what_the_paper_says():
    for settings in ({}, {"alpha": 0.3, "frequencies": 2, "blocks": 1}, {"alpha": 1.0}, {"alpha": 0.0}):
        model = _model(**settings)
        rows = [[3, 4, 5, 6, 7, 8, 9], [10], [11, 12, 13]]
        expected = torch.cat([_by_the_paper(model, row[:-1]) for row in rows])
        torch.testing.assert_close(model.encode_before(_query(*rows)), expected, rtol=1e-4, atol=1e-5)


def test_alpha_says_how_much_attention_counts():
    filtered, attended = _model(alpha=1.0), _model(alpha=0.0)
    query = _query([3, 4, 5])
    before = filtered.encode_user(query), attended.encode_user(query)
    for model in (filtered, attended):
        for block in model.reader.blocks:
            torch.nn.init.normal_(block.attention.mix.weight)
    assert torch.equal(filtered.encode_user(query), before[0])
    assert not torch.allclose(attended.encode_user(query), before[1])


def test_length_and_dropout_left_open_follow_the_data():
    data = synthetic.chain().dataset.interactions
    chosen = BSARec.adapt(BSARec.Config(alpha=0.5, dropout=0.25), data)
    assert (chosen.max_length, chosen.dropout, chosen.alpha) == (10, 0.25, 0.5)
    assert BSARec.adapt(BSARec.Config(), data).dropout == 0.41  # 24 events an item
