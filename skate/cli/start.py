"""`skate start`: a session that stands by itself, for programs that join it one after another or together."""

from __future__ import annotations

import argparse
import json
import sys

from skate.cli import _show
from skate.engine.base import InitConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate start` takes."""
    parser.add_argument(
        "--head",
        action="store_true",
        help="accepted for scripts written for Ray: every session has its head here",
    )
    parser.add_argument(
        "--num-cpus", type=float, metavar="N", help="CPUs that tasks may hold at once (default: all)"
    )
    parser.add_argument("--num-gpus", type=float, metavar="N", help="GPUs (default: all)")
    parser.add_argument(
        "--resources", type=json.loads, default={}, metavar="JSON", help="custom resources by name"
    )
    parser.add_argument(
        "--labels", type=json.loads, default={}, metavar="JSON", help="labels of this machine"
    )
    parser.add_argument(
        "--object-store-memory", type=int, metavar="BYTES", help="shared memory for large objects"
    )
    parser.add_argument(
        "--preload",
        action="append",
        default=[],
        metavar="MODULE",
        help="import before workers are forked; repeatable",
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="json is for machines (default: table)"
    )
    parser.add_argument("--block", action="store_true", help="stay until Ctrl-C, and end the session then")


def run(arguments: argparse.Namespace) -> int:
    """Start the session and say how to join it."""
    from skate.engine.local import start_standing_session, stop_session

    config = InitConfig(
        num_cpus=arguments.num_cpus,
        num_gpus=arguments.num_gpus,
        resources=arguments.resources,
        labels=arguments.labels,
        object_store_memory=arguments.object_store_memory,
        preload=tuple(arguments.preload),
    )
    try:
        name = start_standing_session(config)
    except ConnectionError as error:
        print(f"skate start: {error}", file=sys.stderr)
        return 1
    if arguments.format == "json":
        _show.as_json({"session": name})
    else:
        print(
            f"session {name} runs. Join it from a program on this machine:\n\n    skate.init(address={name!r})\n"
        )
        print(
            "skate.init() without an address joins the youngest. `skate status` shows it, `skate stop` ends it."
        )
    if arguments.block:
        import signal

        sys.stdout.flush()
        signals = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        signal.sigwait(signals)
        stop_session(name)
    return 0


__all__ = ["add_arguments", "run"]
