"""Semantic ids: a vector as a few tokens, the first of which says most, so that things alike have beginnings alike."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tastemaker.errors import DataError

_ROUNDS = 25
_ROWS = 8192


def residual_codes(
    vectors: np.ndarray, levels: int, size: int, *, crowding: float = np.inf, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Residual k-means: each level's tokens are the nearest of `size` centres of what the levels before have left over.

    The quantiser of RQ-VAE (Zeghidour et al. 2021, "SoundStream", §III-C; for items Rajput et al. 2023, "Recommender systems with
    generative retrieval", §3.1) without its autoencoder: centres are means of the vectors as they are.

    Args:
        vectors: float32 (n, dim).
        levels: tokens of a vector.
        size: tokens there are on a level.
        crowding: most vectors of a centre, as a multiple of its fair share.
        rng: of the first centres.

    Returns:
        tokens, int64 (n, levels), and for the last level all of its tokens by distance, int64 (n, size or n if that is less).
    """
    left, codes = np.array(vectors, np.float32), np.zeros((len(vectors), levels), np.int64)
    for level in range(levels):
        centres, codes[:, level] = means(left, min(size, len(left)), crowding=crowding, rng=rng)
        last = left
        left = left - centres[codes[:, level]]
    order = np.concatenate(
        [
            np.argsort(_distances(last[start : start + _ROWS], centres), axis=1, kind="stable")
            for start in range(0, len(last), _ROWS)
        ]
    )
    return codes, order


def means(
    vectors: np.ndarray, count: int, *, crowding: float = np.inf, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """k-means (Lloyd 1982) from k-means++ seeds (Arthur & Vassilvitskii 2007): centres, float32 (count, dim), and whose each vector is, int64.

    A centre has at most `crowding` (≥ 1) times its fair share of the vectors, its nearest; the others go to the next one with room. An
    empty centre moves to the vector that is worst off.
    """
    centres, most = _seeds(vectors, count, rng), crowding * len(vectors) / count
    room = len(vectors) if most >= len(vectors) else int(np.ceil(most))
    for left in reversed(range(_ROUNDS)):
        distances = np.concatenate([_distances(vectors[at : at + _ROWS], centres) for at in range(0, len(vectors), _ROWS)])
        found = _within(distances, room)
        if not left:
            break
        counts = np.bincount(found, minlength=count)
        sums = np.zeros_like(centres)
        np.add.at(sums, found, vectors)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres).astype(np.float32)
        empty = np.flatnonzero(counts == 0)
        worst = np.argsort(-distances[np.arange(len(found)), found], kind="stable")[: len(empty)]
        moved[empty[: len(worst)]] = vectors[worst]
        if not len(empty) and np.array_equal(moved, centres):
            break
        centres = moved
    return centres, found


def _within(distances: np.ndarray, room: int) -> np.ndarray:
    """The nearest centre of each row that has room for it; who is nearer goes first, ties to the lower."""
    found = distances.argmin(axis=1)
    counts = np.bincount(found, minlength=distances.shape[1])
    if counts.max(initial=0) <= room:
        return found
    own = distances[np.arange(len(found)), found]
    order = np.lexsort((own, found))
    rank = np.empty(len(found), np.int64)
    rank[order] = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
    counts = np.minimum(counts, room)
    crowded_out = np.flatnonzero(rank >= room)
    for row in crowded_out[np.argsort(own[crowded_out], kind="stable")]:
        choice = int(np.where(counts < room, distances[row], np.inf).argmin())
        found[row] = choice
        counts[choice] += 1
    return found


def told_apart(codes: np.ndarray, order: np.ndarray, size: int) -> np.ndarray:
    """Tokens with one more behind them, so that no two rows are alike: int64 (n, levels + 1), all below `size`.

    Rows with the same tokens are numbered as they come (Rajput et al. 2023, §3.1). Where more than `size` have the same, the others
    take the next token of the last level, by `order`, that has room.

    Raises:
        DataError: there are more rows with one beginning than there are ends.
    """
    met = Counter[tuple[int, ...]]()
    found = np.zeros((len(codes), codes.shape[1] + 1), np.int64)
    for row, (tokens, others) in enumerate(zip(codes.tolist(), order, strict=True)):
        for last in (tokens[-1], *others.tolist()):
            key = (*tokens[:-1], last)
            if met[key] < size:
                break
        else:
            raise DataError(
                f"more than {len(others) * size:,} items whose contents begin alike",
                expected="items that differ in what they are",
                hint="give the model more codes, or items more to be told apart by",
            )
        found[row] = (*key, met[key])
        met[key] += 1
    return found


def digits(count: int, levels: int, size: int) -> np.ndarray:
    """Tokens of numbers 0 … count - 1, int64 (count, levels + 1): digits, the highest first, and what is beyond them last.

    Raises:
        DataError: more numbers than there are tokens for.
    """
    room = size**levels
    if count > room * size:
        raise DataError(f"{count:,} items", expected=f"at most {room * size:,}", hint="give the model more codes")
    numbers = np.arange(count)
    return np.stack(
        [*(numbers % room // size ** (levels - 1 - level) % size for level in range(levels)), numbers // room], axis=1
    )


def _seeds(vectors: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Of a few vectors drawn by their distance the one that leaves least is the next centre."""
    tries = 2 + int(np.log(count))
    centres = np.empty((count, vectors.shape[1]), np.float32)
    centres[0] = vectors[rng.integers(len(vectors))]
    distance = _distances(vectors, centres[:1])[:, 0].astype(np.float64)
    for place in range(1, count):
        total = distance.sum()
        drawn = rng.choice(len(vectors), tries, p=distance / total if total > 0 else None)
        left = np.minimum(distance[:, None], _distances(vectors, vectors[drawn]))
        best = int(left.sum(axis=0).argmin())
        centres[place], distance = vectors[drawn[best]], left[:, best]
    return centres


def _distances(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared, float32 (n, centres)."""
    squares = (vectors**2).sum(1)[:, None] - 2 * (vectors @ centres.T) + (centres**2).sum(1)
    return np.maximum(squares, 0.0)
