"""The logger that `ray.logger` is."""

from __future__ import annotations

import logging

logger = logging.getLogger("skate")

__all__ = ["logger"]
