"""The service measured over HTTP: `python -m bench.serve.run`, or `make bench-serve`."""
