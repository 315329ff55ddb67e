"""What the stages of an iterator of `skate.util.iter` count and time, and how they share it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from skate.util.timer import _Timer


class MetricsContext:
    """Counters, timers and notes of an iterator.

    Attributes:
        counters: Counts by name, zero at first.
        timers: Timers by name.
        info: Anything else by name.
        current_actor: The actor that the current item comes from; None where there is none.
    """

    def __init__(self) -> None:
        self.counters: defaultdict[str, int] = defaultdict(int)
        self.timers: defaultdict[str, _Timer] = defaultdict(_Timer)
        self.info: dict[str, Any] = {}
        self.current_actor: Any = None

    def save(self) -> dict[str, Any]:
        """What can be kept: counters, timers' means and notes."""
        return {"counters": dict(self.counters), "info": dict(self.info), "timers": dict(self.timers)}

    def restore(self, values: dict[str, Any]) -> None:
        """Take over what `save` has given."""
        self.counters.clear()
        self.counters.update(values["counters"])
        self.timers.clear()
        self.timers.update(values["timers"])
        self.info = dict(values["info"])


class SharedMetrics:
    """A reference to a context: iterators that are joined are given one context."""

    def __init__(
        self, metrics: MetricsContext | None = None, parents: list[SharedMetrics] | None = None
    ) -> None:
        self.metrics = metrics or MetricsContext()
        self.parents = parents or []

    def set(self, metrics: MetricsContext) -> None:
        """Have this and what it was joined from refer to another context."""
        self.metrics = metrics
        for parent in self.parents:
            parent.set(metrics)

    def get(self) -> MetricsContext:
        """The context."""
        return self.metrics


__all__ = ["MetricsContext", "SharedMetrics"]
