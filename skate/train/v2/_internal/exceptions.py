"""The base of Train's errors, and those that only its own code raises."""

from __future__ import annotations

__all__ = ["RayTrainError"]


class RayTrainError(Exception):
    """The base of the errors of training runs."""
