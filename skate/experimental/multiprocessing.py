"""The pool of `skate.util`, under its old path."""

from __future__ import annotations

from skate.util.multiprocessing import Pool, TimeoutError

__all__ = ["Pool", "TimeoutError"]
