"""`skate summary`: how many tasks, actors or objects a running session has, by name and state."""

from __future__ import annotations

import argparse
from typing import Any

from skate.cli import _show
from skate.util import state


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate summary` takes."""
    parser.add_argument("what", choices=("tasks", "actors", "objects"), help="what to count")
    _show.add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the counts."""
    return _show.answering("summary", lambda: _summary(arguments))


def _summary(arguments: argparse.Namespace) -> int:
    count = {
        "tasks": state.summarize_tasks,
        "actors": state.summarize_actors,
        "objects": state.summarize_objects,
    }[arguments.what]
    found: dict[str, Any] = count(address=arguments.address, raise_on_missing_output=False)["cluster"]
    if arguments.format == "json":
        _show.as_json(found)
        return 0
    rows = []
    for name, entry in found["summary"].items():
        if arguments.what == "objects":
            rows.append({**entry, "where made": name, "total_size_mb": round(entry["total_size_mb"], 3)})
        else:
            rows.append({"name": name, "type": entry.get("type"), "states": entry["state_counts"]})
    columns = {
        "tasks": ("name", "type", "states"),
        "actors": ("name", "states"),
        "objects": ("where made", "total_objects", "total_size_mb", "ref_type_counts", "task_state_counts"),
    }[arguments.what]
    _show.table(rows, columns, f"no {arguments.what}")
    return 0


__all__ = ["add_arguments", "run"]
