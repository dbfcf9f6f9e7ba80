"""Maps of items: vectors of many dimensions laid out in two, so that what is alike lies together. NumPy alone; no model, no service.

| file | what it does |
|---|---|
| `nearest.py` | the nearest of each vector |
| `layout.py` | principal components, and from there a layout that keeps neighbours |
| `quality.py` | how much of the neighbourhoods a layout keeps |
| `__main__.py` | all of it as a process of its own |
"""
