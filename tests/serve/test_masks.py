from __future__ import annotations

from tests.serve.worlds import grid, items, opened

from tastemaker.serve.masks import Masks
from tastemaker.wire.bodies import ItemBody


def test_as_many_gates_are_held_as_asked_for_and_the_least_used_go(tmp_path):
    with opened(tmp_path, grid(30)) as (service, _store, clock):
        service.put_items([ItemBody(item_id=item, properties={"price": place}) for place, item in enumerate(items(30))])
        view, masks = service.view, Masks(3)

        def gate(most: int):
            return masks.gate(view, clock(), "price < $most", {"most": most}, {})

        first = [gate(most) for most in (3, 4, 5)]
        assert [one.candidates for one in first] == [3, 4, 5]
        assert [gate(most) for most in (3, 4, 5)] == first
        assert gate(6).candidates == 6
        assert [gate(most) is one for most, one in zip((5, 4, 3), reversed(first), strict=True)] == [True, True, False]
