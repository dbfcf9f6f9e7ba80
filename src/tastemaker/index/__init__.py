"""Find the best items for a vector or a row of scores."""
