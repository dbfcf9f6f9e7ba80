"""What a review says, as a vector: a convolution over its words, an LSTM that reads it both ways, or counts that nothing is learned of."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tastemaker.data.interactions import Interactions
from tastemaker.nn.documents import Documents, Side
from tastemaker.nn.recurrent import Recurrent, Steps
from tastemaker.nn.segments import rows_of
from tastemaker.nn.sparse import SizedByData
from tastemaker.nn.text_statistics import latent_semantics, word_vectors
from tastemaker.settings import Settings


class DocumentSettings(Settings):
    """What is read of the reviews."""

    text_dim: int = Field(32, gt=1, description="size of a review's vector")
    word_dim: int = Field(64, gt=0, description="size of a word's vector, where words are read")
    vocabulary: int = Field(8000, gt=0, description="words that are known: the most frequent ones")
    max_words: int = Field(100, gt=0, description="words read of a review: its first")
    max_reviews: int = Field(30, gt=0, description="reviews read of a user or an item: the newest")


class WordTable(nn.Module):
    """A vector a word; begins with what the corpus says of which words stand together, and is trained on from there."""

    def __init__(self, vocabulary: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary + 1, dim, padding_idx=0)

    def observe(self, documents: Documents) -> None:
        """Sets the vectors from the reviews; where there are none they stay random."""
        if len(documents):
            words, bounds = documents.words.numpy(), documents.bounds.numpy()
            vectors = word_vectors(words, bounds, documents.vocabulary, self.embedding.embedding_dim)
            self.embedding.weight.data.copy_(torch.from_numpy(vectors))


class WordCnn(nn.Module):
    """relu(K * w + b) over windows of three words, and of each filter the largest value in the review (Kim 2014).

    Words beyond the ends are zero, so a review of one word is read too. The kernel is applied to the vocabulary, not to each
    place where a word stands, since that is the same function of fewer products.
    """

    def __init__(self, word_dim: int, dim: int) -> None:
        super().__init__()
        self.kernel = nn.Linear(word_dim, 3 * dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, table: Tensor, words: Tensor, bounds: Tensor) -> Tensor:
        """Table (vocabulary, word_dim), words int64 (words,) and bounds (reviews + 1,) → (reviews, dim); no review is empty."""
        size, dim = len(table), len(self.bias)
        said = self.kernel(table).view(size, 3, dim).transpose(0, 1).reshape(3 * size, dim)
        none = words.new_zeros(1)
        before, after = torch.cat([none, words[:-1]]), torch.cat([words[1:], none])
        before[bounds[:-1]], after[bounds[1:] - 1] = 0, 0
        seen = torch.stack([before, words + size, after + 2 * size], dim=1)
        found = F.relu(F.embedding_bag(seen, said, mode="sum") + self.bias)
        return torch.segment_reduce(found, "max", offsets=bounds, axis=0)


class WordLstm(nn.Module):
    """The mean over a review of the states of an LSTM that reads it forwards and of one that reads it backwards."""

    def __init__(self, word_dim: int, dim: int) -> None:
        super().__init__()
        self.forwards = Recurrent("lstm", word_dim, dim // 2)
        self.backwards = Recurrent("lstm", word_dim, dim - dim // 2)

    def forward(self, table: Tensor, words: Tensor, bounds: Tensor) -> Tensor:
        """As `WordCnn.forward`."""
        rows = rows_of(bounds, len(words))
        turned = bounds[rows] + bounds[rows + 1] - 1 - torch.arange(len(words), device=words.device)
        steps = Steps.of(bounds)
        states = [self.forwards(F.embedding(words, table), steps), self.backwards(F.embedding(words[turned], table), steps)]
        lengths = bounds.diff().unsqueeze(1)
        sums = states[0].new_zeros(len(lengths), sum(state.shape[1] for state in states))
        return sums.index_add(0, rows, torch.cat(states, dim=1)) / lengths


class FrozenVectors(SizedByData):
    """Vectors of reviews that are counted once (`latent_semantics`) and not trained."""

    vectors: Tensor
    """float32 (reviews, dim)"""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_data_buffer("vectors", ndim=2)

    def observe(self, documents: Documents) -> None:
        """Counts."""
        words, bounds = documents.words.numpy(), documents.bounds.numpy()
        self.vectors = torch.from_numpy(latent_semantics(words, bounds, documents.vocabulary, self.dim))


class ReviewReader(nn.Module):
    """The documents of users and items, and a vector of each review in them: users' documents and items' are read by networks of their own."""

    def __init__(
        self, kind: Literal["cnn", "bilstm", "frozen"], config: DocumentSettings, num_users: int, num_items: int
    ) -> None:
        super().__init__()
        self.dim = config.text_dim
        self.documents = Documents(
            num_users,
            num_items,
            vocabulary=config.vocabulary,
            max_words=config.max_words,
            max_reviews=config.max_reviews,
        )
        self.frozen = FrozenVectors(config.text_dim) if kind == "frozen" else None
        if kind != "frozen":
            network = WordCnn if kind == "cnn" else WordLstm
            self.table = WordTable(config.vocabulary, config.word_dim)
            self.networks = nn.ModuleDict({side: network(config.word_dim, config.text_dim) for side in ("user", "item")})

    def observe(self, interactions: Interactions) -> None:
        """Takes the reviews of these rows, and counts what readers begin with."""
        self.documents.observe(interactions)
        (self.frozen or self.table).observe(self.documents)

    def forward(self, side: Side, reviews: Tensor) -> Tensor:
        """Vectors of reviews, places int64 (n,), as they count in documents of a side: (n, dim). Each review is read once."""
        if self.frozen is not None:
            return self.frozen.vectors[reviews]
        if not len(reviews):
            return self.table.embedding.weight.new_zeros(0, self.dim)
        distinct, places = torch.unique(reviews, return_inverse=True)
        read: Tensor = self.networks[side](self.table.embedding.weight, *self.documents.text(distinct))
        return read.index_select(0, places)
