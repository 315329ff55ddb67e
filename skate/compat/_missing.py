"""What to say about a name of Ray's that Skate does not have."""

from __future__ import annotations

PAGE = "docs/compatibility.md"

_NOT_PLANNED = "Names that will not come"
_NOT_YET = "Names that are not there yet"
_PRIVATE = "Private names"

_SECTIONS = {
    "ray.rllib": _NOT_PLANNED,
    "ray.workflow": _NOT_PLANNED,
    "ray.dashboard": _NOT_PLANNED,
    "ray.autoscaler": _NOT_PLANNED,
    "ray.core": _NOT_PLANNED,
    "ray.cpp_function": _NOT_PLANNED,
    "ray.scripts": _NOT_PLANNED,
    "ray.util.spark": _NOT_PLANNED,
    "ray.util.sgd": _NOT_PLANNED,
    "ray.util.horovod": _NOT_PLANNED,
    "ray._private": _PRIVATE,
    "ray._raylet": _PRIVATE,
    "ray._common": _PRIVATE,
}
"""The section of the page that speaks of a name and everything under it; the rest is of `_NOT_YET`."""


def explain(name: str) -> str:
    """One sentence about a name that is missing, with the place that says why."""
    return f'Skate does not have it; see "{section(name)}" in {PAGE}.'


def section(name: str) -> str:
    """The heading under which the page speaks of `name`, a dotted path that begins with `ray`."""
    while name:
        if name in _SECTIONS:
            return _SECTIONS[name]
        name = name.rpartition(".")[0]
    return _NOT_YET
