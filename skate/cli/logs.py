"""`skate logs`: what the workers of a running session have printed."""

from __future__ import annotations

import argparse
import sys

from skate.cli import _show
from skate.util.state import get_log, list_logs
from skate.util.state.exception import RayStateApiException


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate logs` takes."""
    parser.add_argument(
        "file", nargs="?", help="a file's name, or a pattern that lists names; default: all names"
    )
    parser.add_argument("--pid", type=int, help="what this process has printed")
    parser.add_argument("--actor-id", help="what this actor has printed")
    parser.add_argument("--task-id", help="what the worker of this task has printed")
    parser.add_argument("--err", action="store_true", help="standard error rather than standard output")
    parser.add_argument("--tail", type=int, default=-1, help="only the last so many lines")
    parser.add_argument("--follow", action="store_true", help="go on as more is printed, until Ctrl-C")
    _show.add_session_arguments(parser)
    parser.set_defaults(error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Print the names of files, or what is in one."""
    return _show.answering("logs", lambda: _logs(arguments))


def _logs(arguments: argparse.Namespace) -> int:
    names = list_logs(arguments.address, glob_filter=arguments.file or "*")
    files = [name for kind in sorted(names) for name in names[kind]]
    which = [arguments.pid, arguments.actor_id, arguments.task_id]
    if which == [None, None, None] and (arguments.file is None or files != [arguments.file]):
        if arguments.format == "json":
            _show.as_json(names)
        else:
            _show.table([{"file": name} for name in files], ("file",), "nothing has been printed")
        return 0
    one = arguments.file if which == [None, None, None] else None
    try:
        for text in get_log(
            arguments.address,
            filename=one,
            pid=arguments.pid,
            actor_id=arguments.actor_id,
            task_id=arguments.task_id,
            follow=arguments.follow,
            tail=arguments.tail,
            suffix="err" if arguments.err else "out",
            errors="replace",
        ):
            sys.stdout.write(text)
            sys.stdout.flush()
    except (RayStateApiException, ValueError) as error:
        return _show.refuse(arguments, str(error))
    except KeyboardInterrupt:
        return 0
    return 0


__all__ = ["add_arguments", "run"]
