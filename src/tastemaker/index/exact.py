"""Exact search: the best k of every row of scores, or of every user vector, with ties that always break the same way.

Order is (score descending, item code ascending). `torch.topk` leaves the order of equal scores open, so the selection here runs on
integer keys that hold score and place together and are never equal: nothing is left to break.

The catalogue is read once. Its columns are cut into blocks of 64; the k best blocks, by (maximum, earlier block), must hold the k
best items, since each block before the one of a given item holds an item that precedes it. So the row is reduced to block maxima at
the speed of memory, and only k blocks are looked into.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tastemaker.data.vocabulary import FIRST, PAD
from tastemaker.errors import DataError, TrainingError

_BLOCK = 64


def top_k(
    scores: Tensor, k: int, banned_rows: Tensor | None = None, banned_codes: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The k best item codes of each row: `(values float32 (batch, k), codes int32 (batch, k))`, best first.

    Args:
        scores: float (batch, num_items), a column for each item code. The result holds no trace of columns PAD and UNKNOWN, whatever
            they contain. A score of -inf means that the item is not to be returned.
        k: length of the lists, at least 1.
        banned_rows: int64 (bans,), with `banned_codes`: (row, code) pairs that must not be returned. Repeats are harmless.
        banned_codes: int64 (bans,), item codes.

    A row with fewer than k items to return ends in code 0 with value -inf. Equal scores: the lower code first (-0.0 equals 0.0).
    Scores wider than float32 are compared as float32. `scores` is written to while this runs and is as before when it returns.

    Raises:
        TrainingError: an eligible score is NaN.
        DataError: shapes, k or banned codes do not fit.
    """
    if scores.ndim != 2 or scores.shape[1] <= FIRST:
        raise DataError(f"scores of shape {tuple(scores.shape)}", expected=f"(batch, num_items) with num_items > {FIRST}")
    _check(k, scores.shape[0], scores.shape[1], banned_rows, banned_codes)
    with torch.no_grad():
        scores = _writable(scores)
        keep = scores[:, :FIRST].clone()
        if banned_rows is not None and banned_codes is not None:
            cells = (banned_rows.long(), banned_codes.long())
            values = scores[cells]
        try:
            scores[:, :FIRST] = -torch.inf
            if banned_rows is not None:
                scores.index_put_(cells, scores.new_tensor(-torch.inf))
            best, places = _select(scores, k)
        finally:
            if banned_rows is not None:
                scores.index_put_(cells, values)
            scores[:, :FIRST] = keep
        return best, torch.where(best > -torch.inf, places, PAD).int()


def search(
    user_vectors: Tensor,
    item_vectors: Tensor,
    k: int,
    banned_rows: Tensor | None = None,
    banned_codes: Tensor | None = None,
    *,
    users_at_once: int = 256,
    items_at_once: int = 65_536,
) -> tuple[Tensor, Tensor]:
    """The k items with the largest dot product for each user vector; results and order as in `top_k`.

    Args:
        user_vectors: float (users, dim).
        item_vectors: float (num_items, dim), a row for each item code; rows PAD and UNKNOWN are never returned.
        k: length of the lists.
        banned_rows: int64 (bans,), rows of `user_vectors`.
        banned_codes: int64 (bans,), item codes.
        users_at_once: rows of the one score buffer.
        items_at_once: columns of it: memory is `users_at_once * items_at_once` floats whatever the sizes.

    Raises:
        TrainingError: an eligible score is NaN.
        DataError: shapes, k or banned codes do not fit.
    """
    if user_vectors.ndim != 2 or item_vectors.ndim != 2 or user_vectors.shape[1] != item_vectors.shape[1]:
        raise DataError(
            f"shapes {tuple(user_vectors.shape)} and {tuple(item_vectors.shape)}", expected="(users, dim) and (num_items, dim)"
        )
    users, items, device = len(user_vectors), len(item_vectors), user_vectors.device
    _check(k, users, items, banned_rows, banned_codes)
    values = torch.full((users, k), -torch.inf, device=device)
    codes = torch.zeros((users, k), dtype=torch.int32, device=device)
    if banned_rows is None or banned_codes is None:
        banned_rows = banned_codes = torch.zeros(0, dtype=torch.int64, device=device)
    banned_rows, order = torch.sort(banned_rows.long())
    banned_codes = banned_codes.long()[order]
    with torch.no_grad():
        buffer = torch.empty(min(users_at_once, users) * min(items_at_once, items), device=device)
        for first in range(0, users, users_at_once):
            rows = slice(first, min(first + users_at_once, users))
            bounds = torch.searchsorted(banned_rows, torch.tensor([rows.start, rows.stop], device=device)).tolist()
            row_bans, code_bans = banned_rows[slice(*bounds)] - first, banned_codes[slice(*bounds)]
            for start in range(0, items, items_at_once):
                stop = min(start + items_at_once, items)
                scores = buffer[: (rows.stop - first) * (stop - start)].view(-1, stop - start)
                torch.matmul(user_vectors[rows].float(), item_vectors[start:stop].float().T, out=scores)
                scores[:, : max(0, FIRST - start)] = -torch.inf
                here = (code_bans >= start) & (code_bans < stop)
                scores.index_put_((row_bans[here], code_bans[here] - start), scores.new_tensor(-torch.inf))
                found, places = _select(scores, min(k, stop - start))
                # lists so far come first: their codes are lower, so equal scores keep their order
                both = torch.cat([values[rows], found], dim=1)
                names = torch.cat([codes[rows], (places + start).int()], dim=1)
                values[rows], place = _select(both, k)
                codes[rows] = names.gather(1, place)
    return values, torch.where(values > -torch.inf, codes, PAD)


def _select(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values (float32) and places (int64) of the k best columns of each row by (value descending, place ascending)."""
    rows, width = scores.shape
    blocks = width // _BLOCK
    if blocks <= 2 * k:
        return _pad(*_best(scores.float(), min(k, width)), k)
    body = scores[:, : blocks * _BLOCK].unflatten(1, (blocks, _BLOCK))
    _, chosen = _best(body.amax(dim=2).float(), k)
    chosen = chosen.sort(dim=1).values  # places ascend among the candidates, as keys need
    row = torch.arange(rows, device=scores.device).unsqueeze(1)
    candidates = torch.cat([body[row, chosen].flatten(1), scores[:, blocks * _BLOCK :]], dim=1).float()
    values, place = _best(candidates, k)
    block = place // _BLOCK
    inside = chosen.gather(1, block.clamp(max=k - 1)) * _BLOCK + place % _BLOCK
    return values, torch.where(block < k, inside, place - k * _BLOCK + blocks * _BLOCK)


def _best(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As `_select`, on float32 and without blocks; NaN anywhere is an error."""
    if values.isnan().any():
        raise TrainingError(
            f"NaN among the scores of {int(values.isnan().any(dim=1).sum())} of {len(values)} rows",
            expected="scores that are numbers",
            hint="the model has diverged; train with a lower learning rate or gradient clipping",
        )
    bits = (values + 0.0).view(torch.int32)  # + 0.0 makes -0.0 equal 0.0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # integers in the order of the floats
    places = torch.arange(values.shape[1] - 1, -1, -1, device=values.device)
    _, place = torch.topk((ordered.long() << 32) | places, k, dim=1)
    return values.gather(1, place), place


def _pad(values: Tensor, places: Tensor, k: int) -> tuple[Tensor, Tensor]:
    missing = k - values.shape[1]
    if missing:
        values = torch.nn.functional.pad(values, (0, missing), value=-torch.inf)
        places = torch.nn.functional.pad(places, (0, missing))
    return values, places


def _writable(scores: Tensor) -> Tensor:
    """The tensor itself where it may be written to, else a copy."""
    frozen = scores.is_inference() and not torch.is_inference_mode_enabled()
    overlapping = any(stride == 0 and size > 1 for stride, size in zip(scores.stride(), scores.shape, strict=True))
    return scores.clone(memory_format=torch.contiguous_format) if frozen or overlapping else scores


def _check(k: int, rows: int, num_items: int, banned_rows: Tensor | None, banned_codes: Tensor | None) -> None:
    if k < 1:
        raise DataError(f"k = {k}", expected="k ≥ 1")
    if (banned_rows is None) != (banned_codes is None):
        raise DataError("one of banned_rows, banned_codes alone", expected="both or neither")
    if banned_rows is None or banned_codes is None:
        return
    if banned_rows.shape != banned_codes.shape or banned_rows.ndim != 1:
        raise DataError(
            f"shapes {tuple(banned_rows.shape)} and {tuple(banned_codes.shape)}", expected="a row and a code for each ban"
        )
    for name, codes, size in (("row", banned_rows, rows), ("item code", banned_codes, num_items)):
        if len(codes) and not (int(codes.min()) >= 0 and int(codes.max()) < size):
            raise DataError(f"banned {name} outside 0…{size - 1}", expected=f"{name}s of this matrix")
