"""The basic verbs of Gorse's API over the same service, so that a Gorse user can switch by changing the address.

| Gorse | here |
|---|---|
| `Labels` (an object) | properties, so that filters see them; any other JSON is the property `labels` |
| `Comment`, `Timestamp` of items | properties `comment` and `timestamp` |
| `Categories`, `IsHidden` | the same |
| feedback | an event; its `event_id` derives from type, user, item, time and value, so that sending it again has one effect |
| `X-API-Key` | a key with the scopes `recommend`, `events:write`, `catalog:write` |
| scores | of the model in use, so their scale is another than Gorse's |

What differs: feedback of an earlier time is kept beside the later one, never overwritten or deleted alone; what a user has met is always
left out; `write-back-type` is refused, since GET never writes: send the feedback when the item was really shown.
"""
