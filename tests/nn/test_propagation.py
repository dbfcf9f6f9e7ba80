from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tastemaker.data.schema import FeatureSchema
from tastemaker.nn.propagation import Propagation


def cells(users: int = 12, items: int = 9, seed: int = 0) -> sp.csr_matrix:
    """Who chose what; user 3 and item 4 have no edge."""
    table = np.random.default_rng(seed).random((users, items)) < 0.35
    table[8, 0] = True
    table[3] = table[:, 4] = False
    return sp.csr_matrix(table.astype(np.float32))


def normalised(table: np.ndarray) -> np.ndarray:
    users, items = np.maximum(table.sum(1), 1e-12), np.maximum(table.sum(0), 1e-12)
    return table / np.sqrt(users)[:, None] / np.sqrt(items)[None, :]


def test_layers_and_their_mean_are_powers_of_the_whole_adjacency() -> None:
    torch.manual_seed(0)
    walker, dense = Propagation(FeatureSchema(12, 9), 4, 3, first=True, init=1.0), normalised(cells().toarray())
    walker.graph.connect(cells())
    whole = np.block([[np.zeros((12, 12)), dense], [dense.T, np.zeros((9, 9))]])
    vectors = np.concatenate([walker.user_embedding.weight.detach(), walker.item_embedding.weight.detach()])
    powers = [np.linalg.matrix_power(whole, power) @ vectors for power in range(4)]
    for expected, found in zip(powers, walker.walk(), strict=True):
        np.testing.assert_allclose(torch.cat(found).detach(), expected, atol=1e-5)
    users, items = walker.mean(walker.walk())
    np.testing.assert_allclose(torch.cat([users, items]).detach(), np.mean(powers, axis=0), atol=1e-5)
    np.testing.assert_allclose(walker.items_now(), items.detach(), atol=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_a_user_asked_with_the_history_of_the_graph_has_the_vector_of_the_graph(first: bool) -> None:
    torch.manual_seed(0)
    walker = Propagation(FeatureSchema(12, 9), 4, 2, first=first, init=1.0)
    walker.graph.connect(cells())
    users, _ = walker.mean(walker.walk())
    everyone = [user for user in range(12) if user != 3]
    torch.testing.assert_close(walker.users_now(torch.tensor(everyone), cells()[everyone]), users[everyone].detach())


def test_a_stranger_gets_what_the_graph_would_send_and_with_nothing_the_mean_user() -> None:
    """As if the stranger were in the graph without changing any degree of an item, with a first embedding of zero."""
    torch.manual_seed(0)
    walker, table = Propagation(FeatureSchema(12, 9), 4, 2, first=True, init=1.0), cells()
    walker.graph.connect(table)
    history = np.zeros((2, 9), np.float32)
    history[0, [0, 2, 4, 7]] = 1  # 4 has no edge, so that it says nothing
    found = walker.users_now(torch.tensor([3, 3]), sp.csr_matrix(history))
    layers = [items.detach().numpy() for _, items in walker.walk()]
    degrees = table.toarray().sum(0)
    sent = sum(layer[i] / np.sqrt(3 * degrees[i]) for layer in layers[:2] for i in (0, 2, 7)) / 3
    np.testing.assert_allclose(found[0], sent, atol=1e-6)
    users, _ = walker.mean(walker.walk())
    torch.testing.assert_close(found[1], users[walker.graph.known_users()].mean(0).detach())
