from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tastemaker.nn.graph import BipartiteGraph, gathered, leading_vectors


def cells(users: int = 12, items: int = 9, seed: int = 0) -> sp.csr_matrix:
    """Who chose what; user 3 and item 4 have no edge."""
    table = np.random.default_rng(seed).random((users, items)) < 0.35
    table[8, 0] = True
    table[3] = table[:, 4] = False
    return sp.csr_matrix(table.astype(np.float32))


def normalised(table: np.ndarray) -> np.ndarray:
    users, items = np.maximum(table.sum(1), 1e-12), np.maximum(table.sum(0), 1e-12)
    return table / np.sqrt(users)[:, None] / np.sqrt(items)[None, :]


def connected(matrix: sp.csr_matrix) -> BipartiteGraph:
    graph = BipartiteGraph(*matrix.shape)
    graph.connect(matrix)
    return graph


def test_products_are_those_of_the_dense_normalised_matrix() -> None:
    table = cells()
    graph, dense = connected(table), normalised(table.toarray())
    items, users = torch.randn(9, 5), torch.randn(12, 5)
    np.testing.assert_allclose(graph.to_users(items), dense @ items.numpy(), atol=1e-6)
    np.testing.assert_allclose(graph.to_items(users), dense.T @ users.numpy(), atol=1e-6)
    np.testing.assert_allclose(graph.smooth(items), dense.T @ dense @ items.numpy(), atol=1e-6)


def test_strengths_of_edges_count_in_products_and_degrees() -> None:
    table = cells()
    table.data = np.random.default_rng(1).integers(1, 4, table.nnz).astype(np.float32)
    items = torch.randn(9, 3)
    np.testing.assert_allclose(connected(table).to_users(items), normalised(table.toarray()) @ items.numpy(), atol=1e-6)


def test_gradients_of_products_are_those_of_dense_ones() -> None:
    graph = connected(cells())
    dense = torch.from_numpy(normalised(cells().toarray())).float()
    items, users = torch.randn(9, 4, requires_grad=True), torch.randn(12, 4, requires_grad=True)
    weights = torch.randn(9, 4)
    ours = (graph.to_items(graph.to_users(items).tanh() + users) * weights).sum()
    theirs = (dense.T @ ((dense @ items).tanh() + users) * weights).sum()
    for one, other in zip(torch.autograd.grad(ours, [items, users]), torch.autograd.grad(theirs, [items, users]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    graph, items = connected(cells(3000, 800)), torch.randn(800, 64)
    before = torch.get_num_threads()
    one = graph.smooth(items)
    try:
        torch.set_num_threads(2)
        assert torch.equal(graph.smooth(items), one)
    finally:
        torch.set_num_threads(before)


def test_who_has_an_edge_is_known_and_a_saved_graph_multiplies_as_before() -> None:
    graph = connected(cells())
    assert graph.known_users().logical_not().nonzero().flatten().tolist() == [3]
    assert graph.known_items().logical_not().nonzero().flatten().tolist() == [4]
    again = connected(cells(seed=5))
    again.to_users(torch.randn(9, 2))  # what it keeps of its old cells must go
    again.load_state_dict(graph.state_dict())
    items = torch.randn(9, 3)
    assert torch.equal(again.to_users(items), graph.to_users(items))
    assert torch.equal(again.item_degrees(), graph.item_degrees())


def test_a_graph_that_was_used_can_be_moved() -> None:
    graph, items = connected(cells()), torch.randn(9, 3)
    before = graph.to_users(items)
    torch.testing.assert_close(graph.double().to_users(items.double()), before.double())


def test_gathered_rows_are_sums_of_table_rows() -> None:
    history, table = sp.csr_matrix(np.array([[0, 1, 2], [0, 0, 0]], np.float32)), torch.randn(3, 4)
    torch.testing.assert_close(gathered(table, history), torch.from_numpy(history.toarray()) @ table)


@pytest.mark.parametrize("count", [1, 4])
def test_leading_vectors_span_what_the_dense_decomposition_spans(count: int) -> None:
    table = cells(60, 30, seed=2)
    _, _, right = np.linalg.svd(normalised(table.toarray()), full_matrices=False)
    ours = leading_vectors(connected(table), count).numpy()
    assert ours.shape == (30, count)
    np.testing.assert_allclose(ours @ ours.T, right[:count].T @ right[:count], atol=1e-3)


def test_vectors_that_are_not_there_are_left_out() -> None:
    table = sp.csr_matrix(np.kron(np.eye(3), np.ones((4, 2))).astype(np.float32))  # rank 3
    vectors = leading_vectors(connected(table), 5)
    assert vectors.shape == (6, 3)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-5)
