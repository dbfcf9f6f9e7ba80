"""The basic verbs of Gorse's API over the same service, so that a Gorse user can switch by changing the address.

| Gorse | here |
|---|---|
| `Labels` (an object) | properties, so that filters see them; any other JSON is the property `labels` |
| `Comment`, `Timestamp` of items | properties `comment` and `timestamp` |
| `Categories`, `IsHidden` | the same |
| feedback | an event, one of each type, user and item: `POST` keeps it where there is none, `PUT` in place of what there is |
| `X-API-Key` | a key with the scopes `recommend`, `events:write`, `catalog:write` |
| scores | of the model in use, so their scale is another than Gorse's |

What differs: feedback is not deleted alone; what a user has met is always left out; `write-back-type` is refused, since GET never
writes: send the feedback when the item was really shown.
"""
