"""The version of the package: the one place that says it."""

__version__ = "0.1.0"

RAY_VERSION = "2.60.0"
"""The version of Ray whose API is matched."""
