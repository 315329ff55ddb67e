"""Choosing a command, reading its arguments, and calling it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from skate._version import __version__

COMMANDS = {
    "drain-node": "give notice that a session's node will be taken away",
    "job": "submit programs to a session that stands, and look after them",
    "list": "list the tasks, actors, objects, … of a running session",
    "logs": "show what a session's workers have printed",
    "memory": "show a session's objects, the largest first, and who holds them",
    "replay": "run a failed task again, on the same inputs, under the debugger",
    "run": "run a program written for Ray, unedited",
    "serve": "run, deploy and look at applications of skate.serve",
    "start": "start a session that programs can join, and that goes on without them",
    "stop": "end sessions that `skate start` has started",
    "stack": "show what each process of a session does now, and what its calls wait for",
    "status": "show what a session has, what is in use, and what waits",
    "summary": "count a session's tasks, actors or objects, by name and state",
    "timeline": "write what ran where and when, as a Chrome trace",
}
"""Every command, with what it does in a few words; `skate.cli.<name>`, with "_" for "-", has its arguments and its work."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name.

    Args:
        arguments: What follows `skate` on the command line; default: `sys.argv[1:]`.

    Returns:
        The exit code.

    Raises:
        SystemExit: the arguments are wrong, or ask for help; with the code to exit with.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="skate", description="Parallel Python, with Ray's API and nothing to operate."
    )
    parser.add_argument("--version", action="version", version=f"skate {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, does in COMMANDS.items():
        command = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
        if given[:1] == [name]:
            _module(name).add_arguments(command)
    if not given:
        parser.print_help(sys.stderr)
        return 2
    chosen = parser.parse_args(given)
    return int(_module(chosen.command).run(chosen) or 0)


def _module(command: str) -> Any:
    return importlib.import_module(f"skate.cli.{command.replace('-', '_')}")
