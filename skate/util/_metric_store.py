"""Measured values: kept per process, merged into one, and written as Prometheus text. Pure: no session, no clock."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Tags = tuple[tuple[str, str], ...]
"""A series within a metric: sorted pairs of tag and value."""


@dataclass
class Family:
    """A metric with all its series.

    Attributes:
        kind: "counter", "gauge" or "histogram".
        boundaries: Upper ends of a histogram's buckets, but for the last, which has none.
        series: By tags: a counter's total; a gauge's (time, value); a histogram's counts by bucket, then the sum.
    """

    kind: str
    name: str
    description: str
    boundaries: tuple[float, ...] = ()
    series: dict[Tags, Any] = field(default_factory=dict)


class Store:
    """The metrics of one process, or of a whole session."""

    def __init__(self) -> None:
        self._families: dict[tuple[str, str], Family] = {}

    def __bool__(self) -> bool:
        return any(family.series for family in self._families.values())

    def family(self, kind: str, name: str, description: str, boundaries: Iterable[float] = ()) -> Family:
        """The metric of that kind and name; the first who asks says its description and boundaries."""
        found = self._families.get((kind, name))
        if found is None:
            found = self._families[kind, name] = Family(kind, name, description, tuple(boundaries))
        return found

    @staticmethod
    def add(family: Family, tags: Tags, amount: float) -> None:
        """Count `amount` more."""
        family.series[tags] = family.series.get(tags, 0.0) + amount

    @staticmethod
    def set(family: Family, tags: Tags, value: float, when: float) -> None:
        """Set a gauge, `when` in seconds of any clock that all share: the latest wins."""
        family.series[tags] = (when, value)

    @staticmethod
    def observe(family: Family, tags: Tags, value: float) -> None:
        """Count a value into a histogram's bucket."""
        counts = family.series.get(tags)
        if counts is None:
            counts = family.series[tags] = [0.0] * (len(family.boundaries) + 2)
        counts[bisect.bisect_left(family.boundaries, value)] += 1
        counts[-1] += value

    def take(self) -> list[Family]:
        """All series so far, which are then forgotten."""
        taken = [family for family in self._families.values() if family.series]
        self._families = {}
        return taken

    def merge(self, families: Iterable[Family]) -> None:
        """Add what another process has measured."""
        for other in families:
            mine = self.family(other.kind, other.name, other.description, other.boundaries)
            for tags, value in other.series.items():
                known = mine.series.get(tags)
                if known is None:
                    mine.series[tags] = list(value) if isinstance(value, list) else value
                elif mine.kind == "counter":
                    mine.series[tags] = known + value
                elif mine.kind == "gauge":
                    mine.series[tags] = max(known, value)
                elif mine.boundaries == other.boundaries:
                    mine.series[tags] = [a + b for a, b in zip(known, value, strict=True)]
                # A histogram of the same name with other buckets can't be added to this one: the first one counts.

    def families(self) -> list[Family]:
        """All metrics, by name."""
        return sorted(self._families.values(), key=lambda family: family.name)


def exposition(families: Iterable[Family], prefix: str = "") -> str:
    """Prometheus's text format, version 0.0.4."""
    lines: list[str] = []
    for family in families:
        name = re.sub(r"[^a-zA-Z0-9_:]", "_", prefix + family.name)
        if name[0].isdigit():
            name = f"_{name}"
        if family.kind == "counter" and not name.endswith("_total"):
            name += "_total"
        lines.append(f"# HELP {name} {_escaped(family.description)}")
        lines.append(f"# TYPE {name} {family.kind}")
        for tags, value in sorted(family.series.items()):
            labels = dict(tags)
            if family.kind == "histogram":
                lines.extend(_buckets(name, labels, family.boundaries, value))
            else:
                number = value[1] if family.kind == "gauge" else value
                lines.append(f"{name}{_labels(labels)} {_number(number)}")
    return "".join(f"{line}\n" for line in lines)


def _buckets(
    name: str, labels: dict[str, str], boundaries: tuple[float, ...], counts: list[float]
) -> Iterable[str]:
    total = 0.0
    for boundary, count in zip((*boundaries, float("inf")), counts, strict=False):
        total += count
        yield f"{name}_bucket{_labels({**labels, 'le': _number(boundary)})} {_number(total)}"
    yield f"{name}_sum{_labels(labels)} {_number(counts[-1])}"
    yield f"{name}_count{_labels(labels)} {_number(total)}"


def _number(value: float) -> str:
    return "+Inf" if value == float("inf") else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = [
        '{}="{}"'.format(re.sub(r"[^a-zA-Z0-9_]", "_", key), _escaped(value).replace('"', '\\"'))
        for key, value in labels.items()
    ]
    return f"{{{','.join(pairs)}}}"
