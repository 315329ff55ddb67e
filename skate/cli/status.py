"""`skate status`: what a running session has, what of it is in use, and what waits."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from skate import _state
from skate.cli import _show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate status` takes."""
    _show.add_session_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print how the session is."""
    return _show.answering("status", lambda: _status(arguments))


def _status(arguments: argparse.Namespace) -> int:
    found = gather(arguments.address)
    if arguments.format == "json":
        _show.as_json(found)
        return 0
    print(
        f"program: {', '.join(job['entrypoint'] for job in found['jobs']) or 'none; the session stands by itself'}"
    )
    for node in found["nodes"]:
        print(f"\nnode {node['node_id'][:12]} {node['state']}")
        rows = [
            {"resource": name, "in use": _amount(name, total - free), "total": _amount(name, total)}
            for name, total, free in node["resources"]
        ]
        _show.table(rows, ("resource", "in use", "total"), "no resources")
    workers = ", ".join(f"{count} {kind}" for kind, count in found["workers"].items())
    store = found["store"]
    print(f"\nprocesses: {workers}")
    print(f"object store: {_show.size(store['used'])} of {_show.size(store['capacity'])}", end="")
    print(f", {_show.size(store['spilled'])} on disk" if store["spilled"] else "")
    print(f"tasks: {_counts(found['tasks'])}")
    print(f"actors: {_counts(found['actors'])}")
    if found["waiting"]:
        print("\nwaiting for resources:")
        _show.table(found["waiting"], ("count", "name", "needs"), "")
    for text in found["missing"]:
        print(f"\n{text}")
    return 0


def gather(address: str | None) -> dict[str, Any]:
    """The state of a session in one dictionary.

    Raises:
        ConnectionError: there is no such session.
    """
    nodes = _state.read("nodes", address).rows
    tasks = _state.read("tasks", address)
    waiting: Counter[tuple[str, tuple[tuple[str, float], ...]]] = Counter()
    for task in tasks.rows:
        if task["state"] == "PENDING_NODE_ASSIGNMENT":
            waiting[task["name"], tuple(sorted((task["required_resources"] or {}).items()))] += 1
    workers = Counter(row["activity"] for row in _state.read("workers", address).rows if row["is_alive"])
    return {
        "jobs": _state.read("jobs", address).rows,
        "nodes": [
            {
                "node_id": node["node_id"],
                "state": node["state"],
                "resources": [
                    (name, total, node["resources_available"].get(name, 0.0))
                    for name, total in node["resources_total"].items()
                    if not name.startswith("node:") and name != "object_store_memory"
                ],
            }
            for node in nodes
        ],
        "store": {name: nodes[0][f"store_{name}"] for name in ("used", "capacity", "spilled")},
        "workers": dict(workers),
        "tasks": dict(Counter(task["state"] for task in tasks.rows if task["type"] != "ACTOR_CREATION_TASK")),
        "actors": dict(Counter(row["state"] for row in _state.read("actors", address).rows)),
        "waiting": [
            {"count": count, "name": name, "needs": dict(needs)} for (name, needs), count in waiting.items()
        ],
        "missing": tasks.missing,
    }


def _amount(name: str, amount: float) -> str:
    return _show.size(amount) if name == "memory" else f"{amount:g}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {state.lower()}" for state, count in sorted(counts.items())) or "none"


__all__ = ["add_arguments", "gather", "run"]
