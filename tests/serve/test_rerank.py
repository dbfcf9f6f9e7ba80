"""The stages between the best candidates and the list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.serve.worlds import ask, did, ids, items, opened

from tastemaker.data.interactions import Histories
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import Vocabulary
from tastemaker.models.sasrec import SASRec
from tastemaker.recommend.recommender import Recommender
from tastemaker.wire.bodies import ItemBody


def reader(count: int = 30) -> Recommender:
    """A model that learns by gradients, as its weights show."""
    vocabulary = Vocabulary(items(count))
    model = SASRec(SASRec.Config(dim=8, blocks=1, max_length=5), FeatureSchema(3, vocabulary.size))
    return Recommender(model, Vocabulary(["nobody"]), vocabulary, Histories.of([np.zeros(0, np.int32)] * 3))


@pytest.mark.parametrize("newcomer", [False, True])
def test_a_list_of_a_sequence_model_can_be_varied(tmp_path: Path, newcomer: bool) -> None:
    with opened(tmp_path, reader()) as (service, _store, _clock):
        if newcomer:
            service.put_item("fresh", ItemBody(properties={"title": "new"}))
        did(service, "u", "item 3")
        varied = ask(service, user_id="u", limit=5, diversity=0.5)
        assert varied.status == "ok"
        assert len(set(ids(varied))) == 5
        assert "diversity_unavailable" not in varied.warnings
