"""`skate run`: a program written for Ray, unedited, as if by `python`, with Skate behind the name `ray`."""

from __future__ import annotations

import argparse
import os

from skate import compat
from skate.cli import _program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate run` takes: an engine, and then what `python` would."""
    parser.usage = "skate run [--engine ENGINE] (SCRIPT | - | -m MODULE) [ARGUMENT ...]"
    parser.add_argument("--engine", metavar="ENGINE", help="the engine that init() starts: local or inline")
    parser.add_argument("-m", action="store_true", dest="as_module", help="run a module, as `python -m` does")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="the program and its own arguments")
    parser.set_defaults(error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Run the program in this process, to its end.

    Raises:
        SystemExit: the program exits, or there is none of that name.
        BaseException: what the program raised and did not catch; it has been shown already.
    """
    if not arguments.program:
        arguments.error("name the program to run: a script, or -m and a module")
    if arguments.engine is not None:
        os.environ["SKATE_ENGINE"] = arguments.engine
    compat.install()
    target, *rest = arguments.program
    load = _program.from_module if arguments.as_module else _program.from_path
    _program.run(load, target, rest)
    return 0


__all__ = ["add_arguments", "run"]
