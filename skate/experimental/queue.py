"""The queue of `skate.util`, under its old path."""

from __future__ import annotations

from skate.util.queue import Empty, Full, Queue

__all__ = ["Empty", "Full", "Queue"]
