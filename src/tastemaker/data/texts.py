"""Texts: columns of a table become one clean text a row, and a text becomes words; any language, nothing learned, no torch.

| found | becomes |
|---|---|
| markup (`<b>`, comments, scripts, escaped once more or not) | a space, or nothing within a word; scripts and styles go with what they hold |
| entities (`&amp;`, `&#8212;`) | the character |
| composed and decomposed accents | one form (NFC) |
| control characters, direction marks, halves of surrogate pairs | nothing; tabs and line ends a space |
| emoji, with their joiners and skin tones | kept |
| list | its elements, joined by commas |
| number, flag, date | as written: `2`, `0.5`, `true`, `2026-11-30` |
| None, NaN, nothing but blanks | not there |
"""

from __future__ import annotations

import datetime
import html
import math
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

import pyarrow as pa

from tastemaker.errors import DataError

LIMIT = 20_000
"""characters of a text that are read, unless told otherwise"""

_HIDDEN = re.compile(r"<(script|style|template)\b[^<>]*>.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)", re.DOTALL | re.IGNORECASE)
_INLINE = re.compile(
    r"</?(?:a|abbr|b|big|code|em|font|i|mark|q|s|small|span|strike|strong|sub|sup|tt|u|wbr)(?:\s[^<>]*)?/?>", re.IGNORECASE
)
_TAG = re.compile(r"<[/!?]?[a-zA-Z][^<>]*>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_BLANKS = re.compile(r"\s+")
_PLAIN = re.compile(r"[ -~]*")  # ASCII that is printed
_UNWANTED = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff]")
_END = (".", "!", "?", ":", ";", ",", "。", "！", "？", "…")

_IDEOGRAPH = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_EMOJI = "\u203c\u2049\u2600-\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001f1e5\U0001f200-\U0001faff"
_SKIN = "\ufe0f\U0001f3fb-\U0001f3ff"


def texts_of(items: pa.Table, *, limit: int = LIMIT) -> list[str | None]:
    """One clean text a row, the columns in the table's order as sentences; None where no column says anything.

    Raises:
        DataError: a column holds bytes, or records within records; or there is no column.
    """
    if not items.num_columns:
        raise DataError("no columns", expected="columns of texts", hint='name them: columns = ["title", …]')
    written = [_column(name, items[name], limit) for name in items.column_names]
    return [joined(row, limit) for row in zip(*written, strict=True)]


def joined(parts: Iterable[str | None], limit: int = LIMIT) -> str | None:
    """Texts one after the other, each a sentence; None where there is none."""
    found = [part for part in parts if part]
    if not found:
        return None
    whole = found[0]
    for part in found[1:]:
        whole += (" " if whole.endswith(_END) else ". ") + part
    return cut(whole, limit)


def clean(text: str, limit: int = LIMIT) -> str:
    """The text without markup and what cannot be seen, in one form; see the table of this module."""
    text = text[: 8 * limit]  # markup may be longer than what it marks; the rest cannot matter
    for _ in range(2):  # feeds escape markup twice
        if "<" in text:
            text = _TAG.sub(" ", _INLINE.sub("", _HIDDEN.sub(" ", text)))
        if "&" not in text:
            break
        text = _ENTITY.sub(lambda found: html.unescape(found.group()), text)
    if not _PLAIN.fullmatch(text):
        text = unicodedata.normalize("NFC", text)
        text = _UNWANTED.sub("", _BLANKS.sub(" ", text))
        text = "".join(one for one in text if one >= " " and not "\x7f" <= one <= "\x9f" and not "\ud800" <= one <= "\udfff")
    return cut(_BLANKS.sub(" ", text).strip(), limit)


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, whole words where there are any."""
    if len(text) <= limit:
        return text
    end = text.rfind(" ", limit // 2, limit + 1)
    return text[: end if end > 0 else limit].rstrip()


def words(text: str) -> list[str]:
    """The words of a clean text: runs of letters and digits with their marks, folded in case and width.

    Chinese and Japanese characters and emoji are a word each, since nothing parts them. Punctuation is none.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _word_pattern().findall(text.casefold())


@cache
def _word_pattern() -> re.Pattern[str]:
    # `\w` lacks the combining marks, without which words of Hindi, Bengali or Thai fall to pieces.
    marks = "".join(
        re.escape(chr(code))
        for code in range(0x300, 0x10000)
        if unicodedata.category(chr(code)) in ("Mn", "Mc") and code < 0xFE00
    )
    letter = rf"(?:[^\W_{_IDEOGRAPH}])"
    word = rf"{letter}(?:[^\W_{_IDEOGRAPH}]|[{marks}\u200c])*(?:['’]{letter}+)*"
    emoji = rf"[{_EMOJI}][{_SKIN}]*(?:\u200d[{_EMOJI}\u2640\u2642][{_SKIN}]*)*"
    flag = "[\U0001f1e6-\U0001f1ff]{2}"
    return re.compile(rf"{word}|[{_IDEOGRAPH}]|{flag}|{emoji}")


def pieces(text: str) -> list[str]:
    """The parts of a text as written that augmentation drops, crops and replaces: what blanks part, ideographs one by one."""
    return re.findall(rf"[{_IDEOGRAPH}]|[^\s{_IDEOGRAPH}]+", text)


def _column(name: str, column: pa.ChunkedArray, limit: int) -> list[str | None]:
    kind = column.type
    while pa.types.is_dictionary(kind) or _is_list(kind):
        kind = kind.value_type
    known = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_null,
        pa.types.is_boolean,
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_decimal,
        pa.types.is_temporal,
    )
    if not any(is_kind(kind) for is_kind in known):
        raise DataError(
            f"column {name!r} of {kind}", expected="texts, numbers, or lists of them", hint="leave it out of columns"
        )
    if pa.types.is_timestamp(kind) and kind.unit == "ns":  # Python's own have microseconds
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    return [_written(value, limit) for value in column.to_pylist()]


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _written(value: Any, limit: int) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return clean(value, limit) or None
    if isinstance(value, list):
        return ", ".join(filter(None, (_written(one, limit) for one in value))) or None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return None if math.isnan(value) else f"{value:.10g}"
    if isinstance(value, datetime.date | datetime.time):  # a moment is a date
        return value.isoformat()
    return str(value)
