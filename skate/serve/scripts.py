"""The command `serve`: run applications and config files from a shell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from skate import compat
from skate.serve._private.commands import build, run, session
from skate.serve._private.commands.target import CommandError
from skate.serve._private.config_files import ConfigError
from skate.serve.exceptions import RayServeException

__all__ = ["act", "add_commands", "main"]

_TOLD = (
    CommandError,
    ConfigError,
    ImportError,
    AttributeError,
    TypeError,
    OSError,
    RuntimeError,
    RayServeException,
    ValidationError,
)


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands to a parser."""
    commands = parser.add_subparsers(dest="serve_command", metavar="COMMAND", required=True)
    for module in (run, session, build):
        module.add(commands)


def act(given: argparse.Namespace) -> int:
    """Do what was asked for; returns the exit code."""
    try:
        code: int = given.act(given)
        return code
    except _TOLD as error:
        print(f"serve {given.serve_command}: {error}", file=sys.stderr)
        return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `serve COMMAND …`; returns the exit code. As a program of its own it also serves applications that import ray, unedited."""
    if arguments is None:
        compat.install()
    parser = argparse.ArgumentParser(prog="serve", description="Models online.")
    add_commands(parser)
    return act(parser.parse_args(arguments))
