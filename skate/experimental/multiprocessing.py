"""The pool of `skate.util`, under its old path."""

from __future__ import annotations

from skate.util.multiprocessing import Pool, TimeoutError  # noqa: A004 -- the API's name

__all__ = ["Pool", "TimeoutError"]
