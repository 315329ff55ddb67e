"""Label selectors: which nodes a task or actor may run on."""

from __future__ import annotations

from collections.abc import Mapping


def unmet(labels: Mapping[str, str], selector: Mapping[str, str] | None) -> dict[str, float]:
    """The conditions of `selector` that `labels` don't meet, as resources that no node has: a demand for them waits.

    A condition is a value, `!value`, `in(a, b)` or `!in(a, b)`.

    Example:
        >>> unmet({"zone": "a"}, {"zone": "in(a, b)"})
        {}
        >>> unmet({"zone": "a"}, {"zone": "!a"})
        {'label:zone=!a': 1.0}
    """
    missing = {}
    for name, condition in (selector or {}).items():
        wanted = condition.removeprefix("!")
        if wanted.startswith("in(") and wanted.endswith(")"):
            values = [value.strip() for value in wanted[3:-1].split(",")]
        else:
            values = [wanted]
        if (labels.get(name) in values) == condition.startswith("!"):
            missing[f"label:{name}={condition}"] = 1.0
    return missing
