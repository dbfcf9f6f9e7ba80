"""TIGER: items have ids that say what they are, and the next item's id is spelled token by token (research)."""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tastemaker.data.habits import suited
from tastemaker.data.interactions import Interactions
from tastemaker.data.item_contents import ItemContents
from tastemaker.data.schema import FeatureSchema
from tastemaker.data.vocabulary import FIRST
from tastemaker.models.base import Batch, GenerativeModel, Query
from tastemaker.nn.dropout import Dropout
from tastemaker.nn.quantisation import digits, residual_codes, told_apart
from tastemaker.nn.ragged import Packing
from tastemaker.nn.transformer import Block, init_normal
from tastemaker.nn.trie import Trie
from tastemaker.settings import Settings

_BRANCHES = 1 << 15
"""Branches of all users together that are looked at in one go."""


class Tiger(GenerativeModel):
    """Research: semantic ids and a generative retriever (Rajput et al. 2023, "Recommender systems with generative retrieval").

    An item's id is `levels` tokens, from rough to fine, of its contents by residual k-means, and one more that tells apart items whose
    tokens are alike. A causal transformer reads a history as the tokens of its items and says what token comes next; at each step only tokens
    that lead to an item count, so that the chances of all items sum to 1. `score` is exact: all beginnings of ids are looked
    at, but for those after which there is only one way. `generate` is the paper's beam search.

    Deviations: the quantiser is residual k-means on the contents, not an RQ-VAE; the transformer is a decoder that also learns to spell
    the history, not a T5; there is no token for the user. Without `[content]`, which only Python allows, tokens are digits of codes.
    Known and unseen users alike are what their history says; a user with nothing gets what anyone's first item is likely to be. An
    item without a single event is spelled like any other, as far as its tokens were met elsewhere.
    """

    class Config(Settings):
        """Settings of `tiger`."""

        dim: int = Field(64, gt=0, description="size of the vectors of tokens")
        blocks: int = Field(2, ge=1, description="transformer blocks")
        heads: int = Field(2, ge=1, description="attention heads")
        max_length: int = Field(
            50,
            ge=1,
            description="newest events of a history that are read, each as all tokens of its id; unset: what the data needs",
        )
        levels: int = Field(3, ge=1, le=8, description="tokens of what an item is")
        codes: int = Field(
            64,
            ge=2,
            le=4096,
            description="tokens there are on a level at most; of contents no more than the root of the number of items, so that items share them",
        )
        crowding: float = Field(
            4.0, ge=1, description="items that have a token of a level at most, as a multiple of a fair share of them"
        )
        init: float = Field(0.1, gt=0, description="standard deviation of the first weights")
        dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each block; unset: more on sparser data")

        @model_validator(mode="after")
        def _divisible(self) -> Any:
            if self.dim % self.heads:
                raise ValueError(f"A dim that is a multiple of heads = {self.heads}")
            return self

    needs_contents = True
    solves = ("chain",)
    config: Config
    train_defaults: ClassVar = {"learning_rate": 0.002, "schedule": "linear", "warmup": 200, "slide": True}
    ids: Tensor
    """int64 (items, levels + 1): the tokens of each item, from the third code on"""

    def __init__(self, config: Config, schema: FeatureSchema) -> None:
        super().__init__(config, schema)
        self.length = config.levels + 1
        count = schema.num_items - FIRST
        self.register_buffer("ids", torch.from_numpy(digits(count, config.levels, config.codes)))
        self.tokens = nn.Embedding(self.length * config.codes, config.dim)
        self.levels = nn.Embedding(self.length, config.dim)
        self.positions = nn.Embedding(config.max_length + 1, config.dim)
        self.start = nn.Parameter(torch.randn(config.dim) * config.init)
        self.norm_input, self.norm, self.dropout = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim), Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, 4 * config.dim, config.dropout) for _ in range(config.blocks)
        )
        init_normal(self, config.init)
        self._trie: tuple[Trie, list[Tensor]] | None = None

    @classmethod
    def adapt(cls, config: Any, interactions: Interactions, loss: str | None = None) -> Any:
        """Length and dropout that suit the data (`data.habits.suited`)."""
        return suited(config, interactions)

    @property
    def reads_contents(self) -> bool:
        """Always: ids are made of them."""
        return True

    def observe_contents(self, contents: ItemContents, interactions: Interactions) -> None:
        """Makes the ids of what items are: modalities side by side, each of one mean squared length."""
        config, parts = self.config, []
        for name, rows in contents.values.items():
            vectors, there = np.asarray(rows[FIRST:], np.float32), np.asarray(contents.present[name][FIRST:], bool)
            centred = np.where(there[:, None], vectors - vectors[there].mean(axis=0) if there.any() else 0.0, 0.0)
            length = float(np.sqrt((centred**2).sum(axis=1)[there].mean())) if there.any() else 0.0
            parts.append((centred / max(length, 1e-12)).astype(np.float32))
        rng = np.random.default_rng(0)
        size = min(config.codes, math.isqrt(max(0, self.schema.num_items - FIRST - 1)) + 1)
        codes, order = residual_codes(np.concatenate(parts, axis=1), config.levels, size, crowding=config.crowding, rng=rng)
        self.ids = torch.from_numpy(told_apart(codes, order, config.codes)).to(self.ids.device)
        self.forget()

    def forget(self) -> None:
        super().forget()
        self._trie = None

    def surprise(self, batch: Batch) -> Tensor:
        states = self._states(batch.query.items, batch.query.offsets, ahead=True)
        targets = batch.targets - FIRST
        trie, _ = self._tree()
        found = states.view(len(targets), self.length, -1)
        loss = found.new_zeros(len(targets))
        for level in range(self.length):
            open_ = trie.follows[level][trie.nodes[level][targets]]
            chances = self._chances(found[:, level], level, open_)
            loss = loss - chances.gather(1, self.ids[targets, level : level + 1]).squeeze(1)
        return loss

    def score(self, query: Query, items: Tensor | None = None) -> Tensor:
        widest = max(len(nodes) for nodes in self._tree()[1])
        rows = max(1, _BRANCHES // max(1, widest))
        parts = [self._score(self._of_rows(query, start, start + rows)) for start in range(0, len(query), rows)]
        pieces = torch.cat(parts) if parts else self.start.new_zeros(0, self.schema.num_items)
        return pieces if items is None else pieces[:, items]

    @torch.no_grad()
    def generate(self, query: Query, count: int, beams: int) -> tuple[Tensor, Tensor]:
        """Beam search over the ids: codes, int64 (batch, count), 0 where there are no more, and their scores, best first.

        Of all beginnings of a length the `beams` likeliest are kept (≥ `count`), so an item whose id begins unlikely is not found.
        """
        trie, _ = self._tree()
        past = self._past(query)
        rows, size = len(query), self.config.codes
        nodes, totals = past.there.new_zeros(rows, 1, dtype=torch.int64), self.start.new_zeros(rows, 1)
        above = [memory.new_zeros(rows, 1, 0, *memory.shape[2:]) for memory in past.memories]
        states = past.newest.unsqueeze(1)
        for level in range(self.length):
            if level:
                states, above = self._branch(trie.tokens[level][nodes], level, past, above)
            chances = self._chances(states, level, trie.follows[level][nodes]) + totals.unsqueeze(-1)
            kept = min(beams, chances[0].numel()) if rows else beams
            totals, places = chances.flatten(1).topk(kept)
            beam = places // size
            nodes = trie.children[level][nodes.gather(1, beam), places % size]
            above = [_taken(memory, beam) for memory in above]
        item_of = torch.empty_like(trie.nodes[-1])
        item_of[trie.nodes[-1]] = torch.arange(FIRST, self.schema.num_items, device=item_of.device)
        codes = torch.where(totals.isfinite(), item_of[nodes], 0)
        return codes[:, :count], totals[:, :count]

    def _score(self, query: Query) -> Tensor:
        """Of all items, and of few users."""
        trie, branching = self._tree()
        past, rows = self._past(query), len(query)
        root = self._chances(past.newest, 0, trie.follows[0])
        totals = root[:, trie.tokens[1]]
        above = [memory.new_zeros(rows, 1, 0, *memory.shape[2:]) for memory in past.memories]
        place = totals.new_zeros(1, dtype=torch.int64)
        for level in range(1, self.length):
            nodes = branching[level]
            chances = totals.new_zeros(rows, len(trie.tokens[level]), 1)
            if len(nodes):
                parents = place[trie.parents[level][nodes]].expand(rows, -1)
                above = [_taken(memory, parents) for memory in above]
                states, above = self._branch(trie.tokens[level][nodes].expand(rows, -1), level, past, above)
                told = self._chances(states, level, trie.follows[level][nodes])
                place = totals.new_zeros(len(trie.tokens[level]), dtype=torch.int64)
                place[nodes] = torch.arange(len(nodes), device=nodes.device)
                decided = torch.zeros(len(place), dtype=torch.bool, device=place.device)
                decided[nodes] = True
                own, token = trie.parents[level + 1], trie.tokens[level + 1]
                chances = torch.where(decided[own], told[:, place[own], token], 0.0)
            else:
                own = trie.parents[level + 1]
                chances = totals.new_zeros(rows, len(own))
            totals = totals[:, own] + chances
        scores = totals.new_zeros(rows, self.schema.num_items)
        scores[:, FIRST:] = totals[:, trie.nodes[-1]]
        return scores

    # reading
    def _past(self, query: Query) -> _Past:
        """What a history says to the tokens that follow it."""
        query = query.known().last(self.config.max_length)
        rows, device = len(query), query.users.device
        lengths = query.lengths * self.length + 1
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        memories: list[Tensor] = []
        states = self._states(query.items, query.offsets, ahead=False, memories=memories)
        longest = int(lengths.max()) if rows else 1
        steps = torch.arange(longest, device=device)
        there = steps < lengths.unsqueeze(1)
        places = (offsets[:-1, None] + steps).clamp(max=max(len(states) - 1, 0))
        newest = states[offsets[1:] - 1] if rows else states
        return _Past(newest, [memory[places] for memory in memories], there)

    def _states(self, items: Tensor, offsets: Tensor, *, ahead: bool, memories: list[Tensor] | None = None) -> Tensor:
        """States of the tokens of packed histories: each is what its row's tokens before it say, a start first.

        With `ahead` as many as there are tokens; else one more for each row, which knows all of it.
        """
        length, device = self.length, items.device
        rows = len(offsets) - 1
        counts = offsets.diff() * length + (0 if ahead else 1)
        bounds = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        row = torch.repeat_interleave(torch.arange(rows, device=device), counts, output_size=int(bounds[-1]))
        place = torch.arange(len(row), device=device) - bounds[row]
        before = place - 1
        event = (offsets[row] + torch.div(before, length, rounding_mode="floor")).clamp(min=0, max=max(len(items) - 1, 0))
        level = before % length
        if len(items):
            token = self.ids[items[event] - FIRST, level]
            vectors = self.tokens(level * self.config.codes + token)
        else:
            vectors = self.start.expand(len(row), -1)
        vectors = torch.where((place == 0).unsqueeze(1), self.start, vectors)
        newest = torch.div(counts - 1, length, rounding_mode="floor")  # of each row: the event whose tokens are asked for last
        states = self._entered(vectors, place % length, newest[row] - torch.div(place, length, rounding_mode="floor"))
        packing = Packing.of(bounds)
        for block in self.blocks:
            if memories is not None:
                memories.append(cast(Block, block).memory(states))
            states = block(states, packing)
        return cast(Tensor, self.norm(states))

    def _entered(self, vectors: Tensor, level: Tensor, event: Tensor) -> Tensor:
        """Vectors of tokens with where they stand: before which token of an id, and of which event, counted from the newest."""
        return cast(Tensor, self.dropout(self.norm_input(vectors + self.levels(level) + self.positions(event))))

    def _branch(self, tokens: Tensor, level: int, past: _Past, above: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """States behind tokens of the next item, int64 (batch, n), and what those say to the tokens behind them."""
        vectors = self.tokens((level - 1) * self.config.codes + tokens)
        where = torch.full_like(tokens, level)
        states = self._entered(vectors, where, torch.zeros_like(tokens))
        found = []
        for block, memory, lower in zip(self.blocks, past.memories, above, strict=True):
            states, lower = cast(Block, block).branch(states, memory, past.there, lower)
            found.append(lower)
        return cast(Tensor, self.norm(states)), found

    def _chances(self, states: Tensor, level: int, open_: Tensor) -> Tensor:
        """Log probabilities of the tokens of a level, of those that are open: (…, dim) → (…, codes)."""
        codes = self.config.codes
        logits = states @ self.tokens.weight[level * codes : (level + 1) * codes].T
        return logits.masked_fill(~open_, -torch.inf).log_softmax(-1)

    def _tree(self) -> tuple[Trie, list[Tensor]]:
        if self._trie is None:
            trie = Trie.of(self.ids, self.config.codes)
            self._trie = trie, trie.branching()
        return self._trie

    @staticmethod
    def _of_rows(query: Query, start: int, end: int) -> Query:
        first, last = query.offsets[start], query.offsets[min(end, len(query))]
        part = slice(int(first), int(last))
        offsets = query.offsets[start : end + 1] - first
        return Query(query.users[start:end], query.items[part], query.times[part], query.values[part], offsets)


class _Past:
    """What a batch of histories says to what follows."""

    def __init__(self, newest: Tensor, memories: list[Tensor], there: Tensor) -> None:
        self.newest = newest
        """float32 (batch, dim): the state behind the whole history"""
        self.memories = memories
        """of each block: (batch, tokens, 2, heads, size)"""
        self.there = there
        """bool (batch, tokens)"""


def _taken(memory: Tensor, places: Tensor) -> Tensor:
    """Branches of each row: (batch, m, …) at int64 (batch, n) → (batch, n, …)."""
    return memory[torch.arange(len(memory), device=memory.device).unsqueeze(1), places]
