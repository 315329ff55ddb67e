"""The suite of serving: `python -m benchmarks serve --peer ray`. HTTP is driven by `wrk`, which must be installed."""
