"""A trie of token sequences: which tokens may follow a beginning, and where each sequence ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Trie:
    """Beginnings of sequences of one length, by depth: at depth 0 the empty one, at the last depth the sequences themselves."""

    tokens: tuple[Tensor, ...]
    """int64 (nodes,) of each depth: the last token of each node; of depth 0 it means nothing"""
    parents: tuple[Tensor, ...]
    """int64 (nodes,) of each depth: the node one depth above; of depth 0 it means nothing"""
    follows: tuple[Tensor, ...]
    """bool (nodes, size) of each depth but the last: which tokens come next"""
    children: tuple[Tensor, ...]
    """int64 (nodes, size) of each depth but the last: the node that a token leads to, 0 where there is none"""
    nodes: tuple[Tensor, ...]
    """int64 (sequences,) of each depth: the node on the way of each sequence"""

    @classmethod
    def of(cls, sequences: Tensor, size: int) -> Trie:
        """The trie of int64 (sequences, length), no two alike, of tokens below `size`."""
        count, length = sequences.shape
        zero = sequences.new_zeros(1)
        tokens, parents, follows, children, nodes = [zero], [zero], [], [], [sequences.new_zeros(count)]
        for depth in range(length):
            ways = nodes[-1] * size + sequences[:, depth]
            distinct, place = torch.unique(ways, return_inverse=True)
            above, token = distinct // size, distinct % size
            next_node = sequences.new_zeros(len(tokens[-1]), size)
            next_node[above, token] = torch.arange(len(distinct), device=sequences.device)
            open_ = torch.zeros_like(next_node, dtype=torch.bool)
            open_[above, token] = True
            tokens.append(token)
            parents.append(above)
            follows.append(open_)
            children.append(next_node)
            nodes.append(place)
        return cls(tuple(tokens), tuple(parents), tuple(follows), tuple(children), tuple(nodes))

    @property
    def length(self) -> int:
        """Tokens of a sequence."""
        return len(self.follows)

    def branching(self) -> list[Tensor]:
        """Of each depth but the last, int64: the nodes where something is decided, there or below."""
        found: list[Tensor] = []
        below: Tensor | None = None
        for depth in reversed(range(self.length)):
            decides = self.follows[depth].sum(1) > 1
            if below is not None:
                decides[self.parents[depth + 1][below]] = True
            below = decides.nonzero().squeeze(1)
            found.append(below)
        return found[::-1]
