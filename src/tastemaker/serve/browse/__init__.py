"""Browsing the catalogue: search by words, lists that need a look, an item's own page."""
