from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tastemaker.data.schema import FieldSchema, RowSchema
from tastemaker.nn import fields as module
from tastemaker.nn.fields import FieldVectors, FieldWeights
from tastemaker.nn.rows import Rows

NAN = float("nan")
SCHEMA = RowSchema(
    (
        FieldSchema("user", "category", 5),
        FieldSchema("tags", "bag", 6),
        FieldSchema("age", "number", 1),
        FieldSchema("item", "category", 7),
        FieldSchema("seen", "sequence", 7, shares="item"),
        FieldSchema("text", "vector", 3),
        FieldSchema("price", "number", 1),
        FieldSchema("when", "vector", 2),
    )
)
ORDER = ("user", "item", "tags", "seen", "age", "price", "text", "when")
"""Of the fields' vectors: categories, bags and sequences, numbers, vectors."""


def rows() -> Rows:
    """Three rows: all known, all unknown or of other values, all missing or empty."""
    return Rows(
        torch.tensor([[2, 3], [1, 1], [0, 0]], dtype=torch.int32),
        torch.tensor([[0.5, -2.0], [3.0, 0.0], [NAN, NAN]]),
        (torch.tensor([[1.0, 2.0, 3.0], [NAN, 1.0, NAN], [NAN] * 3]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [NAN] * 2])),
        (
            (torch.tensor([2, 5, 1], dtype=torch.int32), torch.tensor([0, 2, 3, 3])),
            (torch.tensor([3, 3, 6, 1], dtype=torch.int32), torch.tensor([0, 3, 4, 4])),
        ),
    )


def slow(layer: FieldVectors, known: Rows, row: int, name: str) -> Tensor:
    """The vector of one field of one row of SCHEMA, by definition; `layer` has all fields."""
    table = {"user": 0, "item": 5, "tags": 12, "seen": 5}
    if name in ("user", "item"):
        code = int(known.codes[row, ("user", "item").index(name)])
        return layer.table.weight[table[name] + code]
    if name in ("tags", "seen"):
        codes, offsets = known.bags[("tags", "seen").index(name)]
        found = [layer.table.weight[table[name] + int(code)] for code in codes[offsets[row] : offsets[row + 1]]]
        return torch.stack(found).mean(0) if found else torch.zeros(layer.dim)
    if name in ("age", "price"):
        place = ("age", "price").index(name)
        value = float(known.numbers[row, place])
        return layer.missing[place] if np.isnan(value) else value * layer.slope[place] + layer.level[place]
    place = ("text", "when").index(name)
    vector = known.vectors[place][row]
    if vector.isnan().all():
        return layer.no_vector[place]
    linear = layer.maps[place]
    return linear.weight @ vector.nan_to_num() + linear.bias


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("row", [0, 1, 2], ids=["known", "unknown", "missing"])
def test_each_kind_of_field_has_the_vector_of_its_definition(name: str, row: int) -> None:
    torch.manual_seed(0)
    layer = FieldVectors(SCHEMA, 4, init=1.0)
    found = layer(rows())
    assert found.shape == (3, 8, 4)
    torch.testing.assert_close(found[row, ORDER.index(name)], slow(layer, rows(), row, name))


def test_what_is_missing_unknown_and_known_differ() -> None:
    torch.manual_seed(0)
    found = FieldVectors(SCHEMA, 4, init=1.0)(rows())
    for place in range(len(ORDER)):
        assert torch.cdist(found[:, place], found[:, place])[np.triu_indices(3, 1)].min() > 0.01


def test_a_field_that_shares_a_vocabulary_moves_with_it() -> None:
    layer = FieldVectors(SCHEMA, 4)
    assert len(layer.table.weight) == 5 + 7 + 6
    with torch.no_grad():
        layer.table.weight[5 + 6] += 10.0  # item 6
    found = layer(rows())
    assert (found[0, ORDER.index("seen")] > 3.0).all()
    assert (found[1:].abs() < 3.0).all()


def test_an_empty_bag_is_zero_and_gives_no_gradient_to_the_table() -> None:
    layer = FieldVectors(SCHEMA, 4)
    found = layer(rows())[2, 2:4]
    assert torch.equal(found, torch.zeros(2, 4))
    found.sum().backward()
    assert not layer.table.weight.grad.any()


def test_batches_in_which_no_bag_holds_anything_are_read() -> None:
    empty = (torch.zeros(0, dtype=torch.int32), torch.zeros(4, dtype=torch.int64))
    known = rows()
    found = FieldVectors(SCHEMA, 4)(Rows(known.codes, known.numbers, known.vectors, (empty, empty)))
    assert torch.equal(found[:, 2:4], torch.zeros(3, 2, 4))


def test_a_vector_without_some_of_its_numbers_is_still_a_vector() -> None:
    layer = FieldVectors(SCHEMA, 4, init=1.0)
    whole, place = rows(), ORDER.index("text")
    zero = Rows(whole.codes, whole.numbers, (whole.vectors[0].nan_to_num(), whole.vectors[1]), whole.bags)
    torch.testing.assert_close(layer(whole)[1, place], layer(zero)[1, place])


@pytest.mark.parametrize("left", [("user",), ("item",), ("item", "seen"), ("tags", "age", "text"), ORDER[1:], ORDER[:-1]])
def test_fields_that_are_left_out_change_nothing_in_the_others(left: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    whole, part = FieldVectors(SCHEMA, 4, init=1.0), FieldVectors(SCHEMA, 4, init=1.0, without=left)
    kept = [name for name in ORDER if name not in left]
    of = [("user",), ("item", "seen"), ("tags",)]  # whose rows lie one after the other in a table
    held = torch.cat([torch.full((size,), bool(set(kept) & set(names))) for names, size in zip(of, (5, 7, 6), strict=True)])
    assert len(part.table.weight) == max(1, held.sum())
    with torch.no_grad():
        if held.any():
            part.table.weight.copy_(whole.table.weight[held])
        for name in ("slope", "level", "missing"):
            getattr(part, name).copy_(getattr(whole, name)[[place for place, n in enumerate(("age", "price")) if n in kept]])
        places = [place for place, name in enumerate(("text", "when")) if name in kept]
        part.no_vector.copy_(whole.no_vector[places])
        for own, place in zip(part.maps, places, strict=True):
            own.load_state_dict(whole.maps[place].state_dict())
    assert part.num_fields == len(kept)
    torch.testing.assert_close(part(rows()), whole(rows())[:, [ORDER.index(name) for name in kept]])


def test_leaving_out_every_field_or_one_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no field 'usr'"):
        FieldVectors(SCHEMA, 4, without=("usr",))
    with pytest.raises(ValueError, match="every field"):
        FieldVectors(SCHEMA, 4, without=ORDER)


def test_fresh_vectors_are_as_long_whatever_the_kind_of_field() -> None:
    torch.manual_seed(0)
    schema = RowSchema((FieldSchema("a", "category", 99), FieldSchema("x", "number", 1), FieldSchema("v", "vector", 300)))
    draw = torch.randn(50, 300)
    known = Rows(torch.randint(0, 99, (50, 1), dtype=torch.int32), torch.randn(50, 1), (draw,), ())
    sizes = FieldVectors(schema, 256, init=0.01)(known).square().mean((0, 2)).sqrt()
    assert (sizes > 0.007).all()
    assert (sizes < 0.02).all()


def test_a_fresh_linear_part_says_nothing_and_then_adds_its_fields() -> None:
    linear = FieldWeights(SCHEMA, 2)
    assert torch.equal(linear(rows()), torch.zeros(3, 2))
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.normal_()
    expected = torch.stack([sum(slow(linear.vectors, rows(), row, name) for name in ORDER) + linear.bias for row in range(3)])
    torch.testing.assert_close(linear(rows()), expected)


def test_no_rows_have_no_vectors() -> None:
    none = (torch.zeros(0, dtype=torch.int32), torch.zeros(1, dtype=torch.int64))
    empty = Rows(
        torch.zeros((0, 2), dtype=torch.int32), torch.zeros((0, 2)), (torch.zeros((0, 3)), torch.zeros((0, 2))), (none, none)
    )
    assert FieldVectors(SCHEMA, 4)(empty).shape == (0, 8, 4)


def test_tables_with_sparse_gradients_have_the_same_values_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = FieldVectors(SCHEMA, 4)
    monkeypatch.setattr(module, "_SPARSE_FROM", 1)
    sparse = FieldVectors(SCHEMA, 4)
    sparse.load_state_dict(dense.state_dict())
    weights = torch.randn(3, 8, 4)
    for layer in (dense, sparse):
        (layer(rows()) * weights).sum().backward()
    assert torch.equal(dense(rows()), sparse(rows()))
    assert sparse.table.weight.grad.is_sparse
    torch.testing.assert_close(sparse.table.weight.grad.to_dense(), dense.table.weight.grad)
