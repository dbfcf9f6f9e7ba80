"""Tastemaker: from events and a catalogue to trained, honestly judged, explained recommendations.

```python
import tastemaker as tm

data = tm.load("events.csv", user="customer", item="sku", time="date")
parts = tm.split(data, "by_time")
recommender = tm.train_model("sasrec", parts, dim=32, epochs=10)
print(tm.evaluate_model(recommender, parts).metrics["ndcg@10"])
print([one.name for one in recommender.recommend("anna", k=5)])
tm.save(recommender, "artifact")
same = tm.open("artifact")
```

Names are imported when they are first used, so that `import tastemaker` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Dataset": ("tastemaker.data.dataset", "Dataset"),
    "Parts": ("tastemaker.experiment.api", "Parts"),
    "Recommender": ("tastemaker.recommend.recommender", "Recommender"),
    "Report": ("tastemaker.evaluate.report", "Report"),
    "TastemakerError": ("tastemaker.errors", "TastemakerError"),
    "compare": ("tastemaker.evaluate.significance", "compare"),
    "describe": ("tastemaker.data.quality", "describe"),
    "evaluate_model": ("tastemaker.experiment.api", "evaluate_model"),
    "load": ("tastemaker.data.load", "load"),
    "open": ("tastemaker.recommend.artifact", "load"),
    "read_config": ("tastemaker.experiment.config", "read_config"),
    "sample_path": ("tastemaker.data.load", "sample_path"),
    "save": ("tastemaker.recommend.artifact", "save"),
    "split": ("tastemaker.experiment.api", "split"),
    "train_model": ("tastemaker.experiment.api", "train_model"),
    "train_run": ("tastemaker.experiment.run", "train_run"),
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tastemaker' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
