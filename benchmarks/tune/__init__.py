"""The suite of searches: `python -m benchmarks tune --peer ray`."""
