"""The command `skate`: one file a command.

A command is a module of this package with two functions, `add_arguments(parser)` and `run(arguments)`, which returns the exit code
(None is 0); its docstring's first line is what `skate --help` says about it. `COMMANDS` lists the modules. Only the one that is asked
for is imported, so that a command costs what it needs itself.
"""

from __future__ import annotations

from skate.cli._frame import COMMANDS, main

__all__ = ["COMMANDS", "main"]
