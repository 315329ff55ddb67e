"""The default router, by Ray's path."""

from __future__ import annotations

from skate.serve.request_router import PowerOfTwoChoicesRequestRouter

__all__ = ["PowerOfTwoChoicesRequestRouter"]
