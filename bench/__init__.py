"""Speed benchmarks; `python -m bench` runs them."""
