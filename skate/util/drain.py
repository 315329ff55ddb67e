"""Notice that a node is about to be taken away: a spot machine that is reclaimed, a host that goes into maintenance.

Whoever learns of it says so, by `skate drain-node` or `drain_node`; work that can save itself looks at `draining_nodes`. Training
runs do: their functions see it in `skate.train.get_preemption_info`, and their next workers are placed elsewhere. Nothing is
killed by a notice.
"""

from __future__ import annotations

import json
import time

import skate
from skate.experimental.internal_kv import _internal_kv_get, _internal_kv_list, _internal_kv_put

_NAMESPACE = b"draining_nodes"

REASONS = ("DRAIN_NODE_REASON_IDLE_TERMINATION", "DRAIN_NODE_REASON_PREEMPTION")
"""Why a node is taken away, under the names that Ray has for it."""


def drain_node(
    node_id: str,
    deadline_s: float | None = None,
    reason: str = "DRAIN_NODE_REASON_PREEMPTION",
    message: str = "",
) -> None:
    """Give notice that a node will be taken away. A later notice for the same node takes the place of an earlier one.

    Args:
        node_id: Its id in hex, as `skate.nodes()` shows it.
        deadline_s: Seconds from now until then; None: nobody knows.
        reason: One of `REASONS`.
        message: Why, in words.

    Raises:
        ValueError: the session has no such node alive, the reason is unknown, or the deadline has passed.

    Example:
        >>> import skate
        >>> from skate.util.drain import drain_node, draining_nodes
        >>> context = skate.init()
        >>> here = skate.get_runtime_context().get_node_id()
        >>> drain_node(here, deadline_s=120, message="spot machine reclaimed")
        >>> list(draining_nodes()) == [here]
        True
        >>> skate.shutdown()
    """
    if reason not in REASONS:
        raise ValueError(f"reason={reason!r} is none of {', '.join(REASONS)}.")
    if deadline_s is not None and deadline_s < 0:
        raise ValueError(f"deadline_s={deadline_s} is over: it is a number of seconds from now, or None.")
    alive = _alive()
    if node_id not in alive:
        raise ValueError(f"node_id={node_id!r} is no node of this session that is alive: {sorted(alive)}.")
    deadline_ms = 0 if deadline_s is None else int((time.time() + deadline_s) * 1000)
    notice = {"deadline_ms": deadline_ms, "reason": reason, "message": message}
    _internal_kv_put(node_id, json.dumps(notice), namespace=_NAMESPACE)


def draining_nodes(gone: bool = False) -> dict[str, int]:
    """The nodes that are alive and about to be taken away.

    Args:
        gone: List those, too, that are gone meanwhile.

    Returns:
        For each, by its id in hex, when that will be, in milliseconds since 1970; 0 where nobody knows.
    """
    noticed = [key.decode() for key in _internal_kv_list("", namespace=_NAMESPACE)]
    if not noticed:
        return {}
    alive = set(noticed) if gone else _alive()
    found = {}
    for node_id in noticed:
        notice = _internal_kv_get(node_id, namespace=_NAMESPACE)
        if notice is not None and node_id in alive:
            found[node_id] = int(json.loads(notice)["deadline_ms"])
    return found


def _alive() -> set[str]:
    return {node["NodeID"] for node in skate.nodes() if node["Alive"]}


__all__ = ["REASONS", "drain_node", "draining_nodes"]
