"""`skate replay`: a task that failed under `init(record="errors")`, run again here on the same inputs."""

from __future__ import annotations

import argparse
import bdb
import pdb  # noqa: T100 -- a debugger is what it is for
import sys
import time
import traceback
from types import TracebackType
from typing import Any

import skate
from skate.cli import _show
from skate.core import recording


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate replay` takes."""
    parser.add_argument(
        "task_id", nargs="?", help="the task's id, its end, or `last`; default: list what is kept"
    )
    parser.add_argument("--no-debugger", action="store_true", help="run it without stopping")
    parser.add_argument("--dir", help="where records are (default: as $SKATE_RECORD_DIR says)")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="of the list")


def run(arguments: argparse.Namespace) -> int:
    """Run the task again, or list those there are. The code is 1 if it fails again."""
    where = arguments.dir or recording.folder()
    kept = recording.entries(where)
    if arguments.task_id is None:
        _list(kept, where, arguments.format)
        return 0
    wanted = [
        record for record in kept if arguments.task_id == "last" or record.task_id.endswith(arguments.task_id)
    ]
    if not wanted or (len(wanted) > 1 and arguments.task_id != "last"):
        many = "no task" if not wanted else f"{len(wanted)} tasks"
        print(
            f"skate replay: {many} of that id in {where}: {arguments.task_id!r}. `skate replay` lists them; tasks are kept "
            'while a session runs that was started with init(record="errors").',
            file=sys.stderr,
        )
        return 2
    return _replay(wanted[0], arguments.no_debugger)


def _list(kept: list[recording.Record], where: str, form: str) -> None:
    rows = [
        {**record._asdict(), "when": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.when))}
        for record in kept
    ]
    if form == "json":
        _show.as_json(rows)
    else:
        _show.table(rows, ("task_id", "when", "name", "error"), f"no failed task is kept in {where}")


def _replay(record: recording.Record, plain: bool) -> int:
    print(f"replaying {record.name}, which failed with {record.error}", file=sys.stderr)
    started = not skate.is_initialized()
    if started:
        skate.init(engine="inline")  # what it calls runs here too, where the debugger can follow it
    try:
        function, args, kwargs = recording.load(record.path, skate.put)
        value = function(*args, **kwargs) if plain else pdb.Pdb().runcall(function, *args, **kwargs)
    except bdb.BdbQuit:
        return 1
    except Exception as error:  # noqa: BLE001 -- whatever the user's function raises
        shown = _without_ours(error.__traceback__)
        traceback.print_exception(type(error), error, shown)
        if not plain:
            pdb.post_mortem(shown)
        return 1
    finally:
        if started:
            skate.shutdown()
    print(f"it did not fail this time; it returned {_short(value)}", file=sys.stderr)
    return 0


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's function on."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename in (
        __file__,
        pdb.__file__,
        bdb.__file__,
    ):
        found = found.tb_next
    return found or trace


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "…"


__all__ = ["add_arguments", "run"]
