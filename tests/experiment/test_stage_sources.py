from __future__ import annotations

from pathlib import Path

import torch

from tastemaker.experiment.judge import Judge
from tastemaker.experiment.run import load_parts
from tastemaker.experiment.stage_config import SourceConfig
from tastemaker.experiment.stage_sources import fitted
from tastemaker.models.blend import Blend
from tastemaker.models.content_knn import ContentKnn

from .test_two_stage import config, shop


def test_a_source_that_compares_contents_and_learns_weights_has_both_and_keeps_them_when_fitted_again(tmp_path: Path) -> None:
    shop(tmp_path)
    whole = config(tmp_path)
    dataset, split, _ = load_parts(whole)
    judge = Judge(dataset, split, whole.evaluate, ratings=False)
    settings = {"weights": "learned", "parts": [{"model": "popularity"}, {"model": "content_knn"}]}
    asked = SourceConfig(model="blend", settings=settings)
    found = fitted("hybrid", asked, judge, tmp_path, resume=False, on_record=None, seed=0)
    first, again = found.source.model, found.again(judge, resume=False, on_record=None).model
    assert isinstance(first, Blend) and isinstance(again, Blend)
    assert first.learned.shape == (1, 2)
    assert float(first.learned[0, 1]) > 0  # colours are what people go by
    assert torch.equal(again.learned, first.learned)
    for model in (first, again):
        content = model.models[1]
        assert isinstance(content, ContentKnn)
        assert content.similar.csr.nnz > 0
    assert not torch.equal(again.models[0].counts, first.models[0].counts)
