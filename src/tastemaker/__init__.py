"""Tastemaker: from events and a catalogue to trained, honestly judged, explained recommendations."""

__version__ = "0.1.0"
