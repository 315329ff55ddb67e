"""When the memory monitor acts, as `_system_config` or the environment say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_THRESHOLD = 0.95
_PERIOD_MS = 250


def memory_limits(system: Mapping[str, Any]) -> tuple[float, float]:
    """(share of the machine's memory above which a worker is ended, seconds between looks; 0 for never).

    Args:
        system: `_system_config`: `memory_usage_threshold` and `memory_monitor_refresh_ms`. What is not there comes from the
            environment variables `RAY_memory_usage_threshold` and `RAY_memory_monitor_refresh_ms`.

    Raises:
        ValueError: one is no number, or out of range.
    """
    threshold = _number(system, "memory_usage_threshold", _THRESHOLD)
    if not 0 <= threshold <= 1:
        raise ValueError(f"memory_usage_threshold={threshold}: a share of the memory is from 0 to 1.")
    period = _number(system, "memory_monitor_refresh_ms", _PERIOD_MS)
    if period < 0:
        raise ValueError(
            f"memory_monitor_refresh_ms={period}: it can't be negative; 0 turns the memory monitor off."
        )
    return threshold, period / 1000


def _number(system: Mapping[str, Any], name: str, default: float) -> float:
    given = system.get(name, os.environ.get(f"RAY_{name}", default))
    try:
        return float(given)
    except (TypeError, ValueError):
        raise ValueError(f"{name}={given!r}: a number is needed.") from None
