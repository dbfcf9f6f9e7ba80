"""Where table work runs: an Ibis backend, on this machine or elsewhere. Knows no model, no torch."""
