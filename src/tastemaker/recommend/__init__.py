"""A model made usable: ids in, ids out, reasons, artifacts."""
