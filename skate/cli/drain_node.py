"""`skate drain-node`: give notice that a node will be taken away."""

from __future__ import annotations

import argparse
import sys

from skate.util.drain import REASONS, drain_node


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `skate drain-node` takes."""
    parser.add_argument(
        "--address", metavar="SESSION", help="a session's name or folder (default: the one that stands)"
    )
    parser.add_argument(
        "--node-id", metavar="HEX", help="the node's id (default: the node that this is run on)"
    )
    parser.add_argument("--reason", choices=REASONS, default=REASONS[-1], help="why it is taken away")
    parser.add_argument("--reason-message", default="", metavar="TEXT", help="the same in words")
    parser.add_argument(
        "--deadline-remaining-seconds",
        type=int,
        metavar="N",
        help="when, in seconds from now (default: nobody knows); nothing is ended then by this command",
    )


def run(arguments: argparse.Namespace) -> int:
    """Join the session and leave the notice there."""
    import skate

    try:
        skate.init(address=arguments.address or "auto", log_to_driver=False)
        node_id = arguments.node_id or skate.get_runtime_context().get_node_id()
        drain_node(node_id, arguments.deadline_remaining_seconds, arguments.reason, arguments.reason_message)
    except (ConnectionError, ValueError) as error:
        print(f"skate drain-node: {error}", file=sys.stderr)
        return 1
    finally:
        skate.shutdown()
    print(f"node {node_id} will be taken away: the session has been told")
    return 0


__all__ = ["add_arguments", "run"]
