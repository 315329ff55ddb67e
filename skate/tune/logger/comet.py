"""Comet: each trial an experiment."""

from __future__ import annotations

from skate.air.integrations.comet import CometLoggerCallback

__all__ = ["CometLoggerCallback"]
