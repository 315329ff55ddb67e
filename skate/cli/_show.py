"""Showing rows: as a table for people, as JSON for machines."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

Row = Mapping[str, Any]


def add_session_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of every command that asks a session."""
    parser.add_argument(
        "--address", metavar="SESSION", help="a session's name or folder; default: the youngest"
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="json is for machines (default: table)"
    )


def answering(command: str, work: Callable[[], int]) -> int:
    """Do a command's work; where there is no session, say so and give code 1."""
    try:
        return work()
    except BrokenPipeError:
        sys.stderr.close()  # who reads us, such as `head`, has seen enough
        return 0
    except ConnectionError as error:
        print(f"skate {command}: {error}", file=sys.stderr)
        return 1


def refuse(arguments: argparse.Namespace, why: str) -> NoReturn:
    """End with the command's usage and what is wrong with its arguments.

    Raises:
        SystemExit: always, with code 2.
    """
    arguments.error(why)
    raise SystemExit(2)


def as_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, default=str))


def table(rows: Sequence[Row], columns: Sequence[str], empty: str) -> None:
    """Print rows as a table: with lines and colours on a terminal, plain columns elsewhere.

    Args:
        rows: What to show.
        columns: Which columns, in order.
        empty: What to say if there are no rows.
    """
    if not rows:
        print(empty)
        return
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    heads = [column.upper().removesuffix("_MS").replace("_", " ") for column in columns]
    if sys.stdout.isatty() and _rich(heads, cells):
        return
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for line in (heads, *cells):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _rich(heads: list[str], cells: list[list[str]]) -> bool:
    """Draw the table with rich, where it is installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return False
    drawn = Table(*heads)
    for line in cells:
        drawn.add_row(
            *(f"[red]{cell}[/red]" if cell in ("FAILED", "DEAD") else _escaped(cell) for cell in line)
        )
    Console(width=max(80, shutil.get_terminal_size().columns)).print(drawn)
    return True


def _escaped(cell: str) -> str:
    return cell.replace("[", "\\[")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_text(amount)}" for name, amount in value.items()) or "-"
    return str(value)


def size(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.4g} {unit}"
