"""The event loop of replicas and proxies."""

from __future__ import annotations

import asyncio


def loop_factory() -> asyncio.AbstractEventLoop:
    """Uvloop's loop, which serves about one and a half times as many requests as asyncio's; that one where there is no uvloop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
