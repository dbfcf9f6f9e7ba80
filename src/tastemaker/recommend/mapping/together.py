"""Vectors of items by who met them, for models that have none of their own."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

DIM = 32
_MORE = 8
_ROUNDS = 4
EVENTS = 5_000_000
"""Events that are read; of more, those of a sample of users."""


def vectors(items: np.ndarray, offsets: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Vectors of length 1 of `size` item codes, float32 (size, ≤ 32): zeros where nobody met an item.

    They are the right singular vectors of the matrix of users and items, divided by the roots of both sums (as in correspondence analysis), without the
    first, which says nothing but how popular an item is, times their squared strengths; found by subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4).
    Users are rows `items[offsets[u]:offsets[u + 1]]`.
    """
    met = _matrix(items, offsets, size, rng)
    of_users, of_items = (np.asarray(met.sum(axis=axis), np.float32).ravel() for axis in (1, 0))
    left, right = (sp.diags_array(_root(sums)) for sums in (of_users, of_items))
    scaled = sp.csr_array(left @ met @ right)
    common = np.sqrt(of_items) / max(float(np.sqrt(of_items.sum())), 1e-12)  # the first one
    width = min(DIM + _MORE, *scaled.shape)
    basis = rng.normal(size=(size, width)).astype(np.float32)
    for _ in range(_ROUNDS):
        basis -= np.outer(common, common @ basis)
        basis, _ = np.linalg.qr(scaled.T @ (scaled @ basis))
    basis -= np.outer(common, common @ basis)
    small = scaled @ basis
    _, strengths, turned = np.linalg.svd((small.T @ small).astype(np.float64))
    found = (basis @ turned.T.astype(np.float32)) * strengths.astype(np.float32)  # s², as who met items by way of others counts
    found = found[:, :DIM] * _root(of_items)[:, None]
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(lengths > 1e-9, found / np.maximum(lengths, 1e-9), 0).astype(np.float32)


def _matrix(items: np.ndarray, offsets: np.ndarray, size: int, rng: np.random.Generator) -> sp.csr_array:
    lengths = np.diff(offsets)
    users = np.flatnonzero(lengths)
    if len(items) > EVENTS:
        users = rng.permutation(users)
        users = np.sort(users[: np.searchsorted(np.cumsum(lengths[users]), EVENTS) + 1])
    rows = np.repeat(np.arange(len(users)), lengths[users])
    held = np.zeros(len(lengths), bool)
    held[users] = True
    met = items[np.repeat(held, lengths)]
    matrix = sp.coo_array((np.ones(len(met), np.float32), (rows, met)), shape=(max(1, len(users)), size)).tocsr()
    matrix.data[:] = 1  # met twice is met
    return matrix


def _root(sums: np.ndarray) -> np.ndarray:
    """1 / √ of each, 0 of 0."""
    return np.where(sums > 0, 1 / np.sqrt(np.maximum(sums, 1e-12)), 0).astype(np.float32)
