"""`skate stack`: what every process of a running session does now, and what its calls wait for."""

from __future__ import annotations

import argparse
import os
from typing import Any

import skate
from skate import _state
from skate.cli import _show

_OURS = os.path.dirname(os.path.abspath(skate.__file__)) + os.sep
_START = ("<string>", 1, "<module>")
"""The outermost frame of a worker: the zygote's `python -c`."""
_MOST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate stack` takes."""
    parser.add_argument("--pid", type=int, help="only this process")
    parser.add_argument("--all", action="store_true", help="also Skate's own threads and frames")
    _show.add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the stacks."""
    return _show.answering("stack", lambda: _stack(arguments))


def _stack(arguments: argparse.Namespace) -> int:
    answer = _state.read("stacks", arguments.address)
    rows = [row for row in answer.rows if arguments.pid in (None, row["pid"])]
    rows.sort(key=lambda row: row["number"])
    if arguments.format == "json":
        _show.as_json({"processes": rows, "missing": answer.missing})
        return 0
    for row in rows:
        _print_process(row, arguments.all)
    for text in answer.missing:
        print(text)
    return 0


def _print_process(row: dict[str, Any], everything: bool) -> None:
    print(f"process {row['pid']}{' (' + row['label'] + ')' if row['label'] else ''}")
    idle = True
    for name, _ident, frames in row["threads"]:
        shown = frames if everything else [frame for frame in frames if not _ours(frame)]
        if not shown or (name.startswith("skate-") and not everything):
            continue
        idle = False
        print(f"  thread {name}")
        for file, line, function, code in shown:
            print(f"    {file}:{line} in {function}")
            if code:
                print(f"      {code}")
        if len(shown) < len(frames) and not everything and frames[-1][0].startswith(_OURS):
            print("    (waits in Skate)")
    if idle:
        print("  (runs no code of the program now)")
    for call in row["pending"][:_MOST]:
        print(f"  waits for {call['name']}: {call['why']}")
    if len(row["pending"]) > _MOST:
        print(f"  and for {len(row['pending']) - _MOST:,} more calls")
    print()


def _ours(frame: tuple[str, int, str, str]) -> bool:
    file, line, function, _ = frame
    return file.startswith(_OURS) or (file, line, function) == _START


__all__ = ["add_arguments", "run"]
