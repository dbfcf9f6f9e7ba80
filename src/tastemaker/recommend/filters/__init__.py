"""Filters: which items may be shown, in a small language; `parse(text).mask(columns)`.

| file | what is in it |
|---|---|
| `grammar.py` | the language, its bounds and its errors |
| `tree.py` | what a filter says |
| `columns.py` | the properties of all items as arrays |
| `evaluation.py` | what a filter means: a mask over items |
"""

from tastemaker.recommend.filters.columns import Columns, Labels
from tastemaker.recommend.filters.evaluation import Filter, parse

__all__ = ["Columns", "Filter", "Labels", "parse"]
