"""Logging something once, or once in a while."""

from __future__ import annotations

import time

_INTERVAL = 60.0
_logged: set[str] = set()
_disabled = False
_periodic = False
_last = 0.0


def log_once(key: str) -> bool:
    """Whether this is the first time that the key is asked about; then it is time to log.

    Args:
        key: What is to be logged once.

    Example:
        >>> from skate.util import log_once
        >>> [log_once("example") for _ in range(2)]
        [True, False]
    """
    global _last
    if _disabled:
        return False
    now = time.monotonic()
    if _periodic and now - _last > _INTERVAL:
        _logged.clear()
    if key in _logged:
        return False
    _logged.add(key)
    _last = now
    return True


def disable_log_once_globally() -> None:
    """Make `log_once` answer False from now on."""
    global _disabled
    _disabled = True


def enable_periodic_logging() -> None:
    """Make `log_once` answer True again for every key, a minute after the last time."""
    global _periodic
    _periodic = True


def reset_log_once(key: str | None = None) -> None:
    """Forget that a key was asked about; None for all of them."""
    if key is None:
        _logged.clear()
    else:
        _logged.discard(key)


__all__ = ["disable_log_once_globally", "enable_periodic_logging", "log_once", "reset_log_once"]
