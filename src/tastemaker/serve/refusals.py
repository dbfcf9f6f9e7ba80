"""Refusals: why events are refused, in plain words, and what to do."""

from __future__ import annotations

REFUSALS: dict[str, tuple[str, str]] = {
    "malformed": ("It is no object, or a field has another type.", "Look at the detail of one: it names the field."),
    "missing_field": ("A field that must be there is not.", "Each event needs an item_id, and a user_id or an anonymous_id."),
    "unknown_field": ("It has a field that events do not have.", "Put what is your own into properties or context."),
    "no_user": ("It says of neither or of both of user_id and anonymous_id.", "Send one of them."),
    "bad_id": ("An id is empty, or no text that can be kept.", "Ids are text of 1 to 256 bytes."),
    "id_too_long": ("An id has more than 256 bytes.", "Shorten it, or send a hash of it."),
    "bad_type": ("The type is no short name.", "A letter, then letters, digits, _ . or -, 64 at most: view, add_to_cart."),
    "not_finite": ("The value is no finite number.", "Leave it out where there is none."),
    "bad_position": ("The position is no rank from 1 to 100,000.", "Send the place in the list, from 1."),
    "bad_time": ("The timestamp is neither RFC 3339 nor seconds since 1970.", "Send 2026-11-30T12:00:00Z, or seconds."),
    "too_old": ("The timestamp is before 1990.", "The sender's clock is not set, or it sends another unit."),
    "too_new": ("The timestamp is more than a day ahead.", "Milliseconds are to be divided by 1000."),
    "bad_text": ("Context or properties are no text that can be kept.", "Send valid UTF-8 without zero bytes."),
    "too_large": ("Context and properties have more than 16 kB.", "Send what recommendations need, not whole pages."),
}
"""What it means and what to do, by code; of every code that `intake` refuses with."""
