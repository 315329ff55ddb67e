"""Who is running: in a worker, what runs in this thread or coroutine."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

current_task: ContextVar[Any] = ContextVar("skate_task", default=None)
"""A `worker.execute.Running`, or None in a driver."""
