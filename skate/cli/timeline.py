"""`skate timeline`: what ran where and when in a running session, as a Chrome trace."""

from __future__ import annotations

import argparse
import json

from skate import _state, _timeline
from skate.cli import _show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate timeline` takes."""
    parser.add_argument("file", nargs="?", default="skate-timeline.json", help="where to write it")
    _show.add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the trace, and say where it is."""
    return _show.answering("timeline", lambda: _write(arguments))


def _write(arguments: argparse.Namespace) -> int:
    events = _timeline.trace(_state.read("events", arguments.address).rows)
    with open(arguments.file, "w") as file:
        json.dump(events, file)
    count = sum(event["ph"] == "X" for event in events)
    if arguments.format == "json":
        _show.as_json({"file": arguments.file, "events": count})
    else:
        print(
            f"{arguments.file}: {count:,} tasks, calls and marked blocks. Open it with https://ui.perfetto.dev"
        )
    return 0


__all__ = ["add_arguments", "run"]
