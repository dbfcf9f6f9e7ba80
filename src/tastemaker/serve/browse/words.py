"""Words of texts, as search compares them: without case, accents and punctuation.

```
"Crème brûlée, № 5"  ──fold──▶  "creme brulee no 5"  ──▶  creme · brulee · no · 5
```

Arrow does it for whole columns, at a few million words a second and without the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_PLAIN = {"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "ς": "σ", "þ": "th", "ð": "d"}
"""Letters that Unicode does not take apart, as people write them who do not have them."""


def column(texts: Sequence[str]) -> pa.StringArray:
    """Texts as Arrow has them; what no UTF-8 can hold becomes "?"."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([text.encode(errors="replace").decode() for text in texts], pa.string())


def fold(texts: pa.StringArray) -> pa.StringArray:
    """The words of each text in their order, joined by one space: letters and digits, lower case, without accents.

    Compatible forms are the same (`ﬁ` is fi, `№` is no); everything that is no letter, digit or mark parts words.
    """
    ascii_only = pc.string_is_ascii(texts)
    if not pc.all(ascii_only, min_count=0).as_py():
        foreign = pc.invert(ascii_only)
        texts = pc.replace_with_mask(texts, foreign, _latin(texts.filter(foreign)))
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_lower(texts), r"[^\pL\pN\pM]+", " "))


def words_of(text: str) -> list[str]:
    """The distinct words of a text, in their order."""
    return list(dict.fromkeys(fold(column([text]))[0].as_py().split()))


def _latin(texts: pa.StringArray) -> pa.StringArray:
    texts = pc.utf8_lower(pc.replace_substring_regex(pc.utf8_normalize(texts, "NFKD"), r"\p{Mn}+", ""))
    for letter, plain in _PLAIN.items():
        texts = pc.replace_substring(texts, letter, plain)
    return texts
