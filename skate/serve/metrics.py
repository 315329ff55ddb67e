"""Metrics that code in replicas records, with the replica's deployment and application as tags of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skate.serve.context import _get_internal_replica_context, _serve_request_context
from skate.util import metrics

_OWN_TAGS = ("deployment", "replica", "application", "route")


def _with_own(tag_keys: tuple[str, ...] | None) -> tuple[str, ...]:
    keys = tuple(tag_keys or ())
    if _get_internal_replica_context() is None:
        return keys
    taken = [key for key in keys if key in _OWN_TAGS[:3]]
    if taken:
        raise ValueError(f"'{taken[0]}' tag is reserved: Serve sets it itself.")
    return (*keys, *(tag for tag in _OWN_TAGS if tag not in keys))


def _own(tags: Mapping[str, str] | None) -> dict[str, str]:
    found = dict(tags or {})
    replica = _get_internal_replica_context()
    if replica is not None:
        found.setdefault("deployment", replica.deployment)
        found.setdefault("replica", replica.replica_tag)
        found.setdefault("application", replica.app_name)
        found.setdefault("route", _serve_request_context.get().route)
    return found


class Counter(metrics.Counter):
    """A number that only grows; see `skate.util.metrics.Counter`."""

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        super().__init__(name, description, _with_own(tag_keys))

    def inc(self, value: float = 1.0, tags: Mapping[str, str] | None = None) -> None:
        """Count `value` more."""
        super().inc(value, _own(tags))


class Gauge(metrics.Gauge):
    """A number that goes up and down; see `skate.util.metrics.Gauge`."""

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        super().__init__(name, description, _with_own(tag_keys))

    def set(self, value: float | None, tags: Mapping[str, str] | None = None) -> None:
        """Set the value."""
        super().set(value, _own(tags))


class Histogram(metrics.Histogram):
    """How many values lie between which boundaries; see `skate.util.metrics.Histogram`."""

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Any = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(name, description, boundaries, _with_own(tag_keys))

    def observe(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Count a value."""
        super().observe(value, _own(tags))


__all__ = ["Counter", "Gauge", "Histogram"]
