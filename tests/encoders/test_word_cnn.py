from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from tastemaker.data.interactions import Interactions
from tastemaker.encoders.word_cnn import WordCnn

if TYPE_CHECKING:
    from conftest import DecidingWords


def fitted(world: DecidingWords, **settings: Any) -> WordCnn:
    encoder = WordCnn(WordCnn.Config.parse(settings))
    encoder.fit(world.items, world.train)
    return encoder


def test_fitting_finds_the_words_that_decide_who_takes_an_item(world_of_words: DecidingWords) -> None:
    frozen = world_of_words.precision(fitted(world_of_words, tuning={"epochs": 0}))
    tuned = world_of_words.precision(fitted(world_of_words, tuning={"epochs": 4}))
    assert tuned.mean() > 0.97 > 0.9 > frozen.mean()


@pytest.mark.parametrize("augment", [{"word_dropout": 0.2}, {"crop": 0.5}, {"synonyms": 0.3}])
def test_augmented_texts_teach_it_too(augment: dict[str, float], world_of_words: DecidingWords) -> None:
    tuned = fitted(world_of_words, tuning={"epochs": 4}, augment=augment)
    assert world_of_words.precision(tuned).mean() > 0.95
    plain = fitted(world_of_words, tuning={"epochs": 4})
    assert tuned.version != plain.version and not np.array_equal(tuned.vectors, plain.vectors)


def test_the_order_of_words_counts_within_a_window(nobody: Interactions) -> None:
    texts = pa.table({"text": ["red wine glass", "glass wine red"]})
    encoder = WordCnn(WordCnn.Config(widths=(2,)))
    encoder.fit(texts, nobody)
    one, other = encoder.encode(texts).values
    assert not np.allclose(one, other, atol=1e-3)


def test_words_beyond_the_longest_are_not_read(nobody: Interactions) -> None:
    encoder = WordCnn(WordCnn.Config(longest=3, min_texts=1))
    encoder.fit(pa.table({"text": ["a b c d e"]}), nobody)
    one, other = encoder.encode(pa.table({"text": ["a b c d", "a b c e"]})).values
    np.testing.assert_array_equal(one, other)
