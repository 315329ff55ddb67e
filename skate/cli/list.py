"""`skate list`: the tasks, actors, objects, … of a running session, one a line."""

from __future__ import annotations

import argparse
import dataclasses
import re
from typing import Any

from skate.cli import _show
from skate.util.state import StateApiClient, common
from skate.util.state.common import ListApiOptions, StateResource
from skate.util.state.exception import RayStateApiException

_COLUMNS = {
    "tasks": ("task_id", "attempt_number", "name", "state", "type", "worker_pid", "error_type"),
    "actors": ("actor_id", "class_name", "state", "name", "pid"),
    "objects": ("object_id", "object_size", "task_status", "reference_type", "type", "pid"),
    "nodes": ("node_id", "state", "is_head_node", "resources_total"),
    "workers": ("worker_id", "worker_type", "is_alive", "pid", "exit_type"),
    "jobs": ("job_id", "status", "entrypoint"),
    "placement_groups": ("placement_group_id", "name", "state"),
    "runtime_envs": ("runtime_env", "success", "error"),
    "cluster_events": ("time", "severity", "source_type", "message"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate list` takes."""
    kinds = [name.replace("_", "-") for name in _COLUMNS]
    parser.add_argument("what", choices=kinds, metavar="WHAT", help=", ".join(kinds))
    parser.add_argument(
        "-f",
        "--filter",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only rows whose column has that value (or, with !=, has not); repeatable",
    )
    parser.add_argument("--limit", type=int, default=100, help="rows at most (default: 100)")
    parser.add_argument("--detail", action="store_true", help="all columns (JSON: also the rarer ones)")
    _show.add_session_arguments(parser)
    parser.set_defaults(error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Print the rows.

    Raises:
        SystemExit: a filter makes no sense.
    """
    return _show.answering("list", lambda: _list(arguments))


def _list(arguments: argparse.Namespace) -> int:
    kind = StateResource(arguments.what.replace("-", "_"))
    filters: list[tuple[str, str, Any]] = []
    for text in arguments.filter:
        found = re.fullmatch(r"(\w+)(!?=)(.*)", text, re.DOTALL)
        if found is None:
            return _show.refuse(arguments, f"--filter {text!r}: it must be COLUMN=VALUE or COLUMN!=VALUE")
        filters.append((found[1], found[2], found[3]))
    options = ListApiOptions(arguments.limit, 30, arguments.detail, filters)
    try:
        rows = StateApiClient(arguments.address).list(kind, options, False, _explain=True)
    except RayStateApiException as error:
        return _show.refuse(arguments, str(error))
    schema = common.SCHEMAS[kind]
    shown = [dataclasses.asdict(row) for row in rows]
    if arguments.format == "json":
        columns = schema.list_columns(arguments.detail)
        _show.as_json([{name: row[name] for name in columns} for row in shown])
        return 0
    columns = schema.list_columns() if arguments.detail else list(_COLUMNS[kind.value])
    _show.table([schema.humanify(row) for row in shown], columns, f"no {arguments.what}")
    return 0


__all__ = ["add_arguments", "run"]
