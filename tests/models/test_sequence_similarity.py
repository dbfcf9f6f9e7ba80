"""Every model that reads a history can compare by cosine, by one definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tastemaker import resolve
from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.errors import ConfigError
from tastemaker.models.base import Query, SequenceModel

NAMES = [name for name in resolve.model_names() if issubclass(resolve.model_class(name), SequenceModel)]


def _model(name, **settings):
    kind = resolve.model_class(name)
    torch.manual_seed(0)
    return kind(kind.Config(dim=8, max_length=6, **settings), FeatureSchema(9, 30)).eval()


def _query(*rows):
    return Query.of(np.full(len(rows), 2), Histories.of([list(row) for row in rows]))


@pytest.mark.parametrize("name", NAMES)
def test_cosines_over_a_temperature_are_those_of_the_vectors_without(name):
    plain, cosine = _model(name), _model(name, similarity="cosine", temperature=0.2)
    rows = [[3], [3, 4, 5], [], [9, 8, 9]]
    with torch.no_grad():
        expected = torch.cosine_similarity(
            plain.encode_user(_query(*rows)).unsqueeze(1), plain.encode_item().unsqueeze(0), dim=-1
        )
        torch.testing.assert_close(cosine.score(_query(*rows)), expected / 0.2, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(cosine.encode_item(torch.tensor([4, 7])), cosine.encode_item()[[4, 7]])


@pytest.mark.parametrize("name", NAMES)
def test_with_cosines_too_asking_after_a_history_equals_training_on_its_next_event(name):
    model = _model(name, similarity="cosine")
    rows = [[3], [3, 4], [], [5, 6, 5]]
    with torch.no_grad():
        before = model.encode_before(_query(*([*row, 7] for row in rows)))
        ends = np.cumsum([len(row) + 1 for row in rows]) - 1
        asked = model.encode_user(_query(*rows))
    torch.testing.assert_close(asked, before[ends], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(asked.norm(dim=1), torch.full((4,), 1 / model.config.temperature))


@pytest.mark.parametrize("name", NAMES)
def test_a_temperature_without_cosines_is_refused(name):
    with pytest.raises(ConfigError, match="similarity to be cosine"):
        resolve.model_class(name).Config.parse({"similarity": "dot", "temperature": 0.1}, "model")
