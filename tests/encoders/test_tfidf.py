from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from tastemaker.data.interactions import Interactions
from tastemaker.data.texts import words
from tastemaker.encoders.tfidf import TfIdf

CORPUS = [
    f"{colour} {size} {thing} with {colour} {extra}"
    for colour in ("red", "green", "blue", "café")
    for size in ("large", "small")
    for thing in ("lamp", "lunch box", "clock", "東京 mug")
    for extra in ("ribbon", "handle")
]
CORPUS = [text for place, text in enumerate(CORPUS) if place % 7 != 3 and place % 11]  # no two axes of equal weight
TABLE = pa.table({"text": CORPUS})


@pytest.mark.parametrize("dim", [3, 6, 200])
@pytest.mark.parametrize("ngrams", [1, 2])
def test_vectors_are_those_of_scikit_learn(dim: int, ngrams: int, nobody: Interactions) -> None:
    encoder = TfIdf(TfIdf.Config(dim=dim, max_share=1.0, ngrams=ngrams))
    encoder.fit(TABLE, nobody)
    found = encoder.encode(TABLE).values

    reference = TfidfVectorizer(
        tokenizer=words, lowercase=False, token_pattern=None, sublinear_tf=True, min_df=2, ngram_range=(1, ngrams)
    )
    cells = reference.fit_transform(CORPUS)
    assert cells.shape[1] == len(encoder.words)
    if dim < min(cells.shape):
        expected = TruncatedSVD(dim, algorithm="arpack", random_state=0).fit_transform(cells)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    else:
        expected = cells.toarray()
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=2e-5)


def test_words_that_few_or_most_texts_have_do_not_count(nobody: Interactions) -> None:
    encoder = TfIdf(TfIdf.Config(dim=4, min_texts=2, max_share=0.75, max_words=3))
    encoder.fit(pa.table({"text": ["all a b", "all b c", "all c b", "all d c", None]}), nobody)
    assert encoder.words.spelled == ["b", "c"]
    encoder.fit(pa.table({"text": ["z y", "z y", "x y", "x w w", "w v"]}), nobody)
    assert encoder.words.spelled == ["y", "w", "x"]


def test_a_text_of_unknown_words_is_rejected_and_counted(nobody: Interactions) -> None:
    encoder = TfIdf(TfIdf.Config(dim=4))
    encoder.fit(TABLE, nobody)
    found = encoder.encode(pa.table({"text": ["red lamp", "zzz", None]}))
    assert found.present.tolist() == [True, False, False] and dict(found.rejects) == {"no known word": 1}


def test_words_that_occur_with_the_same_words_are_near(nobody: Interactions) -> None:
    rows = ["car engine wheel", "automobile engine wheel", "rose petal garden", "tulip petal garden"] * 3
    encoder = TfIdf(TfIdf.Config(dim=2))
    encoder.fit(pa.table({"text": rows}), nobody)
    car, automobile, rose = encoder.encode(pa.table({"text": ["car", "automobile", "rose"]})).values
    assert car @ automobile > 0.9 > 0.1 > car @ rose
