"""Metrics of a program: counters, gauges and histograms that any task, actor or driver records.

What worker processes record is sent on at least ten times a second to an actor of the session, which starts when the first of them
records something and adds up what all of them do. `prometheus_text()` gives the totals. Nothing listens on any port.
"""

from __future__ import annotations

import re
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import skate
from skate import _at_shutdown, _is_driver
from skate.util import _metric_store
from skate.util._metric_store import Family, Store, Tags

_PAUSE = 0.1  # seconds between two reports of a worker, at least
_VALID_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_COLLECTOR = "skate_metrics"
_NAMESPACE = "_skate"


class Metric:
    """What counters, gauges and histograms share.

    Args:
        name: Letters, digits and underscores.
        description: What it measures, for readers.
        tag_keys: The tags that every recorded value must have, unless a default is set.

    Raises:
        ValueError: the name is empty.
        TypeError: `tag_keys` is no tuple of strings.
    """

    _kind = ""

    def __init__(self, name: str, description: str = "", tag_keys: tuple[str, ...] | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name={name!r}: a string is needed, got a {type(name).__name__}.")
        if not name:
            raise ValueError("Empty name is not allowed. Please provide a metric name.")
        if not isinstance(description, str):
            raise TypeError(f"description={description!r}: a string is needed.")
        if not _VALID_NAME.fullmatch(name):
            warnings.warn(
                f"Metric name {name!r} has characters other than letters, digits and underscores, or begins with a digit: they "
                "are written as underscores.",
                stacklevel=3,
            )
        keys = () if tag_keys is None else tag_keys
        if not isinstance(keys, tuple):
            raise TypeError(f"tag_keys should be a tuple type, got: {type(keys)}")
        for key in keys:
            if not isinstance(key, str):
                raise TypeError(f"Tag keys must be str, got {type(key)}.")
        self._name = name
        self._description = description
        self._tag_keys = keys
        self._default_tags: dict[str, str] = {}
        self._boundaries: tuple[float, ...] = ()

    def set_default_tags(self, default_tags: Mapping[str, str]) -> Self:
        """Set the values of tags that are used where a recorded value comes without them. Returns the metric.

        Raises:
            ValueError: a tag is not among `tag_keys`.
            TypeError: a value is no string.
        """
        for key, value in default_tags.items():
            if key not in self._tag_keys:
                raise ValueError(
                    f"Unrecognized tag key {key}. The metric {self._name!r} has {self._tag_keys}."
                )
            _check_tag(value)
        self._default_tags = dict(default_tags)
        return self

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, tags and their defaults."""
        return {
            "name": self._name,
            "description": self._description,
            "tag_keys": self._tag_keys,
            "default_tags": dict(self._default_tags),
        }

    def _tags(self, given: Mapping[str, str] | None) -> Tags:
        """The tags of one recorded value; those that the metric does not have are ignored."""
        if not self._tag_keys:
            return ()
        for value in (given or {}).values():
            _check_tag(value)
        merged = {**self._default_tags, **(given or {})}
        missing = [key for key in self._tag_keys if key not in merged]
        if missing:
            raise ValueError(f"Missing value for tag key(s): {','.join(missing)}.")
        return tuple(sorted((key, merged[key]) for key in self._tag_keys))

    def _family(self) -> Family:
        return _recorder.store.family(self._kind, self._name, self._description, self._boundaries)

    def __reduce__(self) -> Any:
        return _restore, (type(self), self.__dict__.copy())


def _restore(cls: type[Metric], state: dict[str, Any]) -> Metric:
    made = object.__new__(cls)
    made.__dict__.update(state)
    return made


class Counter(Metric):
    """A number that only grows.

    Example:
        >>> from skate.util.metrics import Counter, prometheus_text
        >>> served = Counter("served", "Requests served.", tag_keys=("route",))
        >>> served.inc(2, tags={"route": "/"})
        >>> 'ray_served_total{route="/"} 2.0' in prometheus_text()
        True
    """

    _kind = "counter"

    def inc(self, value: float = 1.0, tags: Mapping[str, str] | None = None) -> None:
        """Count `value` more.

        Raises:
            ValueError: `value` is not above 0, or a tag is missing.
            TypeError: `value` is no number, or a tag's value no string.
        """
        _check_number(value)
        if value <= 0:
            raise ValueError(f"value must be >0, got {value}")
        names = self._tags(tags)
        with _recorder.changing():
            Store.add(self._family(), names, value)


class Gauge(Metric):
    """A number that goes up and down; of several processes' values the latest counts."""

    _kind = "gauge"

    def set(self, value: float | None, tags: Mapping[str, str] | None = None) -> None:
        """Set the value; None leaves it as it is.

        Raises:
            ValueError: a tag is missing.
            TypeError: `value` is no number, or a tag's value no string.
        """
        if value is None:
            return
        _check_number(value)
        names = self._tags(tags)
        with _recorder.changing():
            Store.set(self._family(), names, float(value), time.time())


class Histogram(Metric):
    """How many values lie between which boundaries.

    Args:
        name: Letters, digits and underscores.
        description: What it measures, for readers.
        boundaries: Upper ends of the buckets, each above 0; a further bucket takes what is above the last.
        tag_keys: As in `Metric`.

    Raises:
        ValueError: no boundaries, or one that is not above 0.
    """

    _kind = "histogram"

    def __init__(
        self,
        name: str,
        description: str = "",
        boundaries: Sequence[float] | None = None,
        tag_keys: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(name, description, tag_keys)
        if not boundaries:
            raise ValueError(
                "boundaries argument should be provided when using the Histogram class. "
                'e.g., Histogram("name", boundaries=[1.0, 2.0])'
            )
        for index, boundary in enumerate(boundaries):
            _check_number(boundary)
            if boundary <= 0:
                raise ValueError(
                    f"Invalid `boundaries` argument at index {index}, {list(boundaries)}. Use positive values for the arguments."
                )
        self._given_boundaries = list(boundaries)
        self._boundaries = tuple(sorted(boundaries))

    def observe(self, value: float, tags: Mapping[str, str] | None = None) -> None:
        """Count a value.

        Raises:
            ValueError: a tag is missing.
            TypeError: `value` is no number, or a tag's value no string.
        """
        _check_number(value)
        names = self._tags(tags)
        with _recorder.changing():
            Store.observe(self._family(), names, value)

    @property
    def info(self) -> dict[str, Any]:
        """Name, description, boundaries, tags and their defaults."""
        return {**super().info, "boundaries": self._given_boundaries}


def _check_number(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"value must be int or float, got {type(value)}.")


def _check_tag(value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"Tag values must be str, got {type(value)}.")


class _Collector:
    """The actor that adds up what worker processes record."""

    def __init__(self) -> None:
        self.store = Store()

    def report(self, families: list[Family]) -> None:
        self.store.merge(families)

    def read(self) -> list[Family]:
        return self.store.families()


class _Recorder:
    """What this process has recorded; in a worker, only what it has not reported yet."""

    def __init__(self) -> None:
        self.store = Store()
        self._lock = threading.Lock()
        self._reporter: threading.Thread | None = None
        self._collector: Any = None

    def changing(self) -> _Recorder:
        return self

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_exc: object) -> None:
        # A driver keeps its own: they are added when somebody asks.
        reporter = None
        if self._reporter is None and skate.is_initialized() and not _is_driver():
            reporter = threading.Thread(target=self._report, name="skate-metrics", daemon=True)
            self._reporter = reporter
        self._lock.release()
        if reporter is not None:
            reporter.start()
            self._send()

    def _report(self) -> None:
        """Report until a pause passes with nothing recorded."""
        while True:
            time.sleep(_PAUSE)
            with self._lock:
                if not self.store:
                    self._reporter = None
                    return
            self._send()

    def _send(self) -> None:
        if self._collector is None:
            options = {"name": _COLLECTOR, "namespace": _NAMESPACE, "lifetime": "detached", "num_cpus": 0}
            self._collector = skate.remote(_Collector).options(**options, get_if_exists=True).remote()
        with self._lock:
            families = self.store.take()
        if families:
            self._collector.report.remote(families)

    def totals(self) -> Store:
        total = Store()
        if skate.is_initialized():
            try:
                collector = skate.get_actor(_COLLECTOR, namespace=_NAMESPACE)
            except ValueError:
                pass  # no worker has recorded anything
            else:
                total.merge(skate.get(collector.read.remote()))
        with self._lock:
            total.merge(self.store.families())
        return total

    def forget(self) -> None:
        """Begin anew: the session has ended, and its metrics with it."""
        with self._lock:
            self.store = Store()
        self._collector = None


_recorder = _Recorder()
_at_shutdown(_recorder.forget)


def _merge(families: list[Family]) -> None:
    """Add what a library has counted by itself, to spare its hot path the lock of each value."""
    with _recorder.changing():
        _recorder.store.merge(families)


def prometheus_text(prefix: str = "ray_") -> str:
    """All metrics of the session, added up over its processes, in Prometheus's text format.

    What a worker records is in it a tenth of a second later. A driver sees its own values at once.

    Args:
        prefix: Stands before each metric's name; the default is what Ray's dashboards look for.
    """
    return _metric_store.exposition(_recorder.totals().families(), prefix)


__all__ = ["Counter", "Gauge", "Histogram", "Metric", "prometheus_text"]
