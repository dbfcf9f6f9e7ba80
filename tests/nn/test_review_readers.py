"""Readers of reviews: what they compute, and that a review is read alike whatever lies beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tastemaker.nn.review_readers import DocumentSettings, FrozenVectors, ReviewReader, WordCnn, WordLstm, WordTable
from tastemaker.nn.text_statistics import latent_semantics, word_vectors

from .test_documents import documents, rows_of

TEXTS = [[3], [1, 2, 2, 5, 4], [6, 1], [2, 6, 3]]
WORDS = torch.tensor([word for text in TEXTS for word in text])
BOUNDS = torch.tensor([0, 1, 6, 8, 11])


def table() -> torch.Tensor:
    torch.manual_seed(0)
    found = torch.randn(7, 4)
    found[0] = 0
    return found


@torch.no_grad()
def test_the_cnn_is_a_padded_convolution_and_the_maximum_over_time() -> None:
    words, made = table(), WordCnn(4, 5)
    made.bias.normal_()
    kernel = made.kernel.weight.view(3, 5, 4).permute(1, 2, 0)
    found = made(words, WORDS, BOUNDS)
    for row, text in enumerate(TEXTS):
        said = nn.functional.conv1d(words[text].T.unsqueeze(0), kernel, made.bias, padding=1)
        torch.testing.assert_close(found[row], said.relu().amax(2).squeeze(0))


@torch.no_grad()
def test_the_lstm_reads_a_review_both_ways_and_takes_the_mean() -> None:
    words, made = table(), WordLstm(4, 6)
    found = made(words, WORDS, BOUNDS)
    for row, text in enumerate(TEXTS):
        alone = torch.tensor([0, len(text)])
        torch.testing.assert_close(made(words, torch.tensor(text), alone)[0], found[row])
        turned = made(words, torch.tensor(text[::-1]), alone)[0]
        made.forwards, made.backwards = made.backwards, made.forwards
        torch.testing.assert_close(torch.roll(made(words, torch.tensor(text), alone)[0], 3), turned)
        made.forwards, made.backwards = made.backwards, made.forwards


def test_frozen_vectors_are_centred_of_size_one_and_nearer_for_texts_of_the_same_words() -> None:
    texts = [[1, 2, 3], [1, 2, 3, 3], [1, 2], [4, 5, 6], [4, 5], [4, 6, 5], [4, 5, 6, 6], [2, 1, 3]]
    words, bounds = np.concatenate(texts), np.cumsum([0, *map(len, texts)])
    found = latent_semantics(words, bounds, 9, 4)
    assert found.shape == (8, 4)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    assert np.square(found).sum(1).mean() == pytest.approx(1, rel=1e-5)
    near = found @ found.T
    assert near[0, [1, 2, 7]].min() > 0 > near[0, 3:7].max()
    np.testing.assert_array_equal(found, latent_semantics(words, bounds, 9, 4))
    assert not latent_semantics(np.zeros(0, np.int32), np.zeros(1, np.int64), 9, 4).size


def test_words_that_stand_beside_the_same_words_have_near_vectors() -> None:
    draw = np.random.default_rng(0)
    texts = [[draw.choice([1, 2]), draw.choice([3, 4, 5]), draw.choice([3, 4, 5])] for _ in range(150)]
    texts += [[draw.choice([6, 7]), draw.choice([8, 9]), draw.choice([8, 9])] for _ in range(150)]
    found = word_vectors(np.concatenate(texts), np.arange(0, 901, 3), 10, 4)
    assert not found[[0, 10]].any()
    unit = found[1:10] / np.linalg.norm(found[1:10], axis=1, keepdims=True)
    assert unit[0] @ unit[1] > 0.7
    assert abs(unit[0] @ unit[6]) < 0.3


@torch.no_grad()
@pytest.mark.parametrize("kind", ["cnn", "bilstm", "frozen"])
def test_a_review_is_read_alike_whatever_is_read_with_it(kind: str) -> None:
    torch.manual_seed(0)
    made = ReviewReader(kind, DocumentSettings(text_dim=4, word_dim=3, vocabulary=20), 6, 6)
    made.observe(rows_of())
    every = made("item", torch.arange(5))
    assert every.shape == (5, 4)
    torch.testing.assert_close(made("item", torch.tensor([3, 1, 3])), every[[3, 1, 3]])
    assert made("item", torch.zeros(0, dtype=torch.int64)).shape == (0, 4)
    if kind != "frozen":
        assert not torch.allclose(made("user", torch.arange(5)), every)


def test_word_vectors_begin_with_the_corpus_and_stay_random_without_one() -> None:
    made, held = WordTable(50, 3), documents()
    before = made.embedding.weight.detach().clone()
    held.user = held.user[:0]
    made.observe(held)
    assert torch.equal(made.embedding.weight, before)
    made.observe(documents())
    assert not torch.equal(made.embedding.weight, before)
    assert not made.embedding.weight[0].any()


def test_frozen_vectors_of_no_reviews_are_none() -> None:
    made, held = FrozenVectors(3), documents()
    held.words, held.bounds = held.words[:0], held.bounds[:1]
    made.observe(held)
    assert made.vectors.shape == (0, 3)
