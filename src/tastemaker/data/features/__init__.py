"""Features: what the columns of a table mean, learned from training rows, and every row as numbers a ranker can read."""
