"""`Checkpoint`, under the path from which libraries import it."""

from __future__ import annotations

from skate.air._checkpoint import Checkpoint

__all__ = ["Checkpoint"]
