"""The input of a graph of calls; see `skate.dag`."""

from __future__ import annotations

from skate.dag import InputNode

__all__ = ["InputNode"]
