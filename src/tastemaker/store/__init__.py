"""The live side of a shop: events, catalogue, users, models in use, kept so that nothing acknowledged is lost."""

from tastemaker.store.base import open_store

__all__ = ["open_store"]
