"""`skate memory`: the objects of a running session, the largest first, and who holds them."""

from __future__ import annotations

import argparse

from skate import _state
from skate.cli import _show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate memory` takes."""
    parser.add_argument("--limit", type=int, default=50, help="objects at most (default: 50)")
    _show.add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the objects."""
    return _show.answering("memory", lambda: _memory(arguments))


def _memory(arguments: argparse.Namespace) -> int:
    answer = _state.read("objects", arguments.address)
    rows = sorted(answer.rows, key=lambda row: -row["object_size"])
    (node, *_others) = _state.read("nodes", arguments.address).rows
    store = {name: node[f"store_{name}"] for name in ("used", "capacity", "spilled")}
    if arguments.format == "json":
        _show.as_json({"store": store, "objects": rows[: arguments.limit], "missing": answer.missing})
        return 0
    print(
        f"object store: {_show.size(store['used'])} of {_show.size(store['capacity'])} used, "
        f"{_show.size(store['spilled'])} on disk; {len(rows)} refs and handles"
    )
    shown = [
        {**row, "object_size": "-" if row["object_size"] < 0 else _show.size(row["object_size"])}
        for row in rows[: arguments.limit]
    ]
    columns = ("object_id", "object_size", "reference_type", "task_status", "type", "pid")
    _show.table(shown, columns, "no objects")
    for text in answer.missing:
        print(text)
    return 0


__all__ = ["add_arguments", "run"]
