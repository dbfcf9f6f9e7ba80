from __future__ import annotations

import torch

from tastemaker.nn.trie import Trie

SEQUENCES = torch.tensor([[0, 1, 0], [0, 1, 2], [0, 3, 0], [2, 0, 0]])


def test_what_follows_is_what_leads_to_a_sequence() -> None:
    trie = Trie.of(SEQUENCES, 4)
    assert [len(one) for one in trie.tokens] == [1, 2, 3, 4]
    assert trie.follows[0][0].tolist() == [True, False, True, False]
    for row, sequence in enumerate(SEQUENCES.tolist()):
        node = 0
        for depth, token in enumerate(sequence):
            assert bool(trie.follows[depth][node, token]) and node == int(trie.nodes[depth][row])
            node = int(trie.children[depth][node, token])
            assert int(trie.tokens[depth + 1][node]) == token
        assert node == int(trie.nodes[-1][row])


def test_only_beginnings_with_a_choice_there_or_below_are_looked_at() -> None:
    trie = Trie.of(SEQUENCES, 4)
    ways = [trie.nodes[1][0].item()], [trie.nodes[2][0].item()]
    assert [one.tolist() for one in trie.branching()] == [[0], *ways]


def test_no_sequence_is_a_trie_too() -> None:
    assert [len(one) for one in Trie.of(SEQUENCES[:0], 4).tokens] == [1, 0, 0, 0]
