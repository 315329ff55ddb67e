"""What to try next: search spaces, and the algorithms that draw from them."""

from __future__ import annotations

from skate.tune.search.variant_generator import grid_search

__all__ = ["grid_search"]
