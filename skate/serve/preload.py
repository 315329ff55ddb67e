"""What Serve's processes need, for `skate.init(preload=["skate.serve.preload"])`: they then start without importing anything."""

from __future__ import annotations

import skate.serve._private.controller.actor
import skate.serve._private.http.front
import skate.serve._private.replica.actor  # noqa: F401

__all__ = []
