"""Two saved runs side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.rows import OURS, format_value, times_better

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compare"]


def compare(before: Path, after: Path, system: str = OURS) -> str:
    """Return a table of one system's figures in two runs; ``*`` marks a change beyond both spreads.

    Args:
        before: JSON of the earlier run.
        after: JSON of the later run.
        system: The system to compare.

    """
    earlier, later = _rows(before), _rows(after)
    lines = [f"{'row':28}{'before':>14}{'after':>14}{'better by':>11}"]
    for name, new in later.items():
        old = earlier.get(name)
        if old is None or system not in new["systems"] or system not in old["systems"]:
            continue
        one, two = old["systems"][system], new["systems"][system]
        if "error" in one or "error" in two:
            lines.append(f"{name:28}{_brief(new['unit'], one):>14}{_brief(new['unit'], two):>14}")
            continue
        better = times_better(new["unit"], two["median"], one["median"])
        apart = one["low"] > two["high"] or two["low"] > one["high"]
        lines.append(
            f"{name:28}{_brief(new['unit'], one):>14}{_brief(new['unit'], two):>14}{better:>10.2f}x"
            f"{' *' if apart else ''}"
        )
    return "\n".join(lines)


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(path.read_text())["rows"]}


def _brief(unit: Any, outcome: dict[str, Any]) -> str:
    return "error" if "error" in outcome else format_value(unit, outcome["median"])
