from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tastemaker.data.vocabulary import UNKNOWN, Vocabulary


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "z", "17", "0", None, "lost"]), max_size=60), st.booleans())
def test_few_ids_and_many_get_the_same_codes(ids, integers):
    held = list(range(100)) if integers else ["z", "b", *(str(number) for number in range(98))]
    vocabulary = Vocabulary(held)
    places = {str(item): place for place, item in enumerate(held)}
    assert vocabulary.encode(ids).tolist() == [places.get(str(item), UNKNOWN - 2) + 2 for item in ids]
