"""From events to a dataset: import, prepare, split, describe. Ibis, Arrow and NumPy; no torch."""
