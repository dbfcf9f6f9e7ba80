from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tastemaker.encoders.parts.augment import Augment, AugmentSettings, near_words, read_synonyms
from tastemaker.errors import DataError

TEXT = " ".join(f"w{number}" for number in range(20))


def augment(**settings: Any) -> Augment:
    return Augment(AugmentSettings.parse(settings), [], 0)


def test_words_are_left_out_in_their_order() -> None:
    change = augment(word_dropout=0.3)
    found = [change(TEXT).split() for _ in range(200)]
    assert 13 < np.mean([len(one) for one in found]) < 15 and len({tuple(one) for one in found}) > 190
    assert all(one == [word for word in TEXT.split() if word in one] for one in found)
    assert change("alone") == "alone" and augment(word_dropout=0.99)("a b c")


def test_a_crop_is_a_stretch_of_the_text() -> None:
    change = augment(crop=0.5)
    found = [change(TEXT) for _ in range(200)]
    assert all(one in TEXT for one in found)
    assert {len(one.split()) for one in found} == set(range(10, 21))


def test_synonyms_of_a_file_stand_for_words(tmp_path: Path) -> None:
    path = tmp_path / "synonyms.txt"
    path.write_text("# furniture\nsofa, couch, Polster\ntaxi, cab  # cars\n\n", encoding="utf-8")
    assert read_synonyms(path) == {
        "sofa": ["couch", "Polster"],
        "couch": ["sofa", "Polster"],
        "polster": ["sofa", "couch"],
        "taxi": ["cab"],
        "cab": ["taxi"],
    }
    change = augment(synonyms=1, synonyms_file=str(path))
    assert {change("Sofa, red") for _ in range(20)} == {"couch red", "Polster red"}


@pytest.mark.parametrize("content", [None, b"", b"alone\n", b"\xff\xfe\xff"])
def test_a_file_without_synonyms_is_said(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "synonyms.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="synonyms"):
        read_synonyms(path)


def test_words_of_the_same_company_are_synonyms() -> None:
    rng = np.random.default_rng(0)
    things = {
        ("sofa", "couch"): ("soft", "seat", "leather", "living"),
        ("taxi", "cab"): ("drive", "street", "yellow", "driver"),
        ("rose", "tulip"): ("petal", "garden", "bloom", "seed"),
        ("soup", "stew"): ("bowl", "spoon", "hot", "beef"),
    }
    texts = [
        " ".join(rng.permutation([pair[number % 2], *rng.permutation(others)[:2]]))
        for pair, others in things.items()
        for number in range(200)
    ]
    found = near_words(texts, 0)
    assert found["sofa"][0] == "couch" and found["cab"][0] == "taxi"
    assert not {"taxi", "rose", "soup"} & set(found["sofa"])
