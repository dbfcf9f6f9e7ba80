"""A typed client of the service, for programs in Python; it needs httpx and msgspec, and loads no torch.

```python
from tastemaker.client import Client

with Client("http://127.0.0.1:8000", key="tm_…") as client:
    answer = client.recommend(user_id="anna", limit=5)
    client.track(user_id="anna", item_id=answer.items[0].item_id, recommendation_id=answer.recommendation_id, position=1)
```

`AsyncClient` has the same verbs, each to be awaited. `EventBuffer` sends events in the background.
"""

from tastemaker.client.buffer import EventBuffer
from tastemaker.client.client import AsyncClient, Client
from tastemaker.client.errors import (
    ConnectionFailedError,
    FailedError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    ServiceError,
    UnavailableError,
    UndeliveredError,
)
from tastemaker.client.retry import Retry

__all__ = [
    "AsyncClient",
    "Client",
    "ConnectionFailedError",
    "EventBuffer",
    "FailedError",
    "InvalidError",
    "NotAllowedError",
    "NotFoundError",
    "Retry",
    "ServiceError",
    "UnavailableError",
    "UndeliveredError",
]
