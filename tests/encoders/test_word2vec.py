from __future__ import annotations

import numpy as np
import pyarrow as pa

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.word2vec import Word2Vec


def test_words_of_the_same_company_are_near(nobody: Interactions) -> None:
    rng = np.random.default_rng(0)
    fields = (["car", "automobile", "engine", "wheel", "road", "brake"], ["rose", "tulip", "petal", "garden", "bloom", "seed"])
    rows = [" ".join(rng.permutation(field)[:4]) + " and" for field in fields for _ in range(100)]
    encoder = Word2Vec(Word2Vec.Config(dim=16))
    encoder.fit(pa.table({"text": rows}), nobody)
    car, automobile, rose = encoder.encode(pa.table({"text": ["car and", "Automobile", "rose"]})).values
    assert car @ automobile > 0.6 > 0.2 > car @ rose


def test_rare_words_weigh_more(nobody: Interactions) -> None:
    rows = [f"common {'first' if place < 5 else 'second'} w{place % 3}" for place in range(40)]
    encoder = Word2Vec(Word2Vec.Config(dim=8))
    encoder.fit(pa.table({"text": rows}), nobody)
    codes = encoder.words.codes
    weights = encoder.words.idf.numpy()[:, None] * encoder.vectors.numpy()
    expected = weights[codes["common"]] + weights[codes["first"]]
    (found,) = encoder.encode(pa.table({"text": ["first common unheard"]})).values
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), rtol=1e-5)
    assert encoder.words.idf[codes["first"]] > encoder.words.idf[codes["common"]]


def test_a_text_of_unknown_words_is_rejected_and_counted(nobody: Interactions) -> None:
    encoder = Word2Vec(Word2Vec.Config(dim=8))
    encoder.fit(pa.table({"text": ["red lamp", "red lamp shade", "blue lamp"]}), nobody)
    found = encoder.encode(pa.table({"text": ["red", "zzz", None]}))
    assert found.present.tolist() == [True, False, False] and dict(found.rejects) == {"no known word": 1}
