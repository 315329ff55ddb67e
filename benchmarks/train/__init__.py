"""The suite of training runs: `python -m benchmarks train`. Needs PyTorch, for Ray in its interpreter too."""
