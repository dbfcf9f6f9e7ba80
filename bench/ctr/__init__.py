"""Rows and comparisons for models that rank by features (click-through rate)."""
