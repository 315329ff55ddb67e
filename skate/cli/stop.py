"""`skate stop`: end sessions that stand by themselves, with all that runs in them."""

from __future__ import annotations

import argparse
import sys

from skate.cli import _show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate stop` takes."""
    parser.add_argument(
        "--address",
        metavar="SESSION",
        help="a session's name or folder, also of one that a program has started (default: all that `skate start` has)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="accepted for scripts written for Ray: sessions always end at once",
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="json is for machines (default: table)"
    )


def run(arguments: argparse.Namespace) -> int:
    """End the sessions, and name them."""
    from skate.engine.local import registry, stop_session

    if arguments.address is not None:
        names = [arguments.address]
    else:
        names = [entry.name for entry in registry.sessions() if entry.standing]
    code = 0
    ended: list[str] = []
    for name in names:
        try:
            ended.append(stop_session(name))
        except ConnectionError as error:
            print(f"skate stop: {error}", file=sys.stderr)
            code = 1
            continue
        if arguments.format != "json":
            print(f"session {ended[-1]} has ended")
    if arguments.format == "json":
        _show.as_json({"ended": ended})
    elif not names:
        print("no session runs that `skate start` has started")
    return code


__all__ = ["add_arguments", "run"]
