"""Types for annotations, under Ray's name of the module."""

from __future__ import annotations

from skate.core.ref import ObjectRef

__all__ = ["ObjectRef"]
