"""`skate serve`: models online; the same as the command `serve`."""

from __future__ import annotations

import argparse

from skate.serve import scripts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate serve` takes."""
    scripts.add_commands(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for."""
    return scripts.act(arguments)


__all__ = ["add_arguments", "run"]
