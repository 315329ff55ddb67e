"""What the controller tells those who ask: values by key, with versions. A question waits until there is a newer one."""

from __future__ import annotations

import asyncio
import time
from typing import Any


class Registry:
    """Values that others follow. It belongs to one asyncio loop."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[int, Any]] = {}
        self._events: dict[str, asyncio.Event] = {}
        # Versions of a controller that was restarted must not look like those of the one before.
        self._version = time.time_ns()

    def publish(self, key: str, value: Any) -> bool:
        """Set a value; those who wait for it are told if it has changed."""
        known = self._values.get(key)
        if known is not None and known[1] == value:
            return False
        self._version += 1
        self._values[key] = (self._version, value)
        event = self._events.pop(key, None)
        if event is not None:
            event.set()
        return True

    def withdraw(self, key: str) -> None:
        """Forget a value that nobody should follow any more."""
        self._values.pop(key, None)

    async def newer(self, key: str, version: int, timeout: float) -> tuple[int, Any] | None:
        """The value, once its version is not `version`; None after `timeout` seconds."""
        known = self._values.get(key)
        if known is not None and known[0] != version:
            return known
        event = self._events.setdefault(key, asyncio.Event())
        try:
            await asyncio.wait_for(event.wait(), timeout)
        except TimeoutError:
            return None
        return self._values.get(key)
