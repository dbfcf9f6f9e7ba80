"""Judge rankings and ratings; no torch, knows no model."""
