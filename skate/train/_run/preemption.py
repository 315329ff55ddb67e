"""Hosts that will be taken away: which ranks they take with them, and how long the run may go on. Decides only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from skate.train.v2.api.preemption import PreemptionInfo

__all__ = [
    "PreemptionWatch",
    "failure_domains",
    "without",
]

_SLICE = "ray.io/tpu-slice-name"
_NODE_ID = "ray.io/node-id"
_UNKNOWN_S = 120.0
"""How long a host is thought to be there if nobody knows."""


def failure_domains(
    nodes: Sequence[str], labels: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[int, ...]]:
    """Which ranks are lost with each host.

    Args:
        nodes: The host's id of each rank.
        labels: The labels of hosts, by id: those of one slice of TPUs are taken away together.

    Returns:
        Ranks by the host's id.
    """
    slices = {node: labels.get(node, {}).get(_SLICE) or node for node in nodes}
    return {
        node: tuple(rank for rank, other in enumerate(nodes) if slices[other] == slices[node])
        for node in dict.fromkeys(nodes)
    }


class PreemptionWatch:
    """Follows which of a group's hosts will be taken away.

    Args:
        domains: Ranks by host, of `failure_domains`.
        now: The time in seconds, by a clock that is never set.
        grace_s: How much longer than the hosts the other workers may go on.
    """

    def __init__(self, domains: Mapping[str, tuple[int, ...]], now: float, grace_s: float = 0.0) -> None:
        self._domains, self._grace = domains, grace_s
        self._interval = float(os.environ.get("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "1"))
        is_on = os.environ.get("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "1") != "0"
        self.next_look = now + self._interval if is_on else float("inf")
        self.deadline: float | None = None
        self.info: PreemptionInfo | None = None

    def look(self, draining: Mapping[str, int], now: float, wall: float) -> bool:
        """Take note of the hosts that will be taken away. Of a host that is gone meanwhile, it still is known.

        Args:
            draining: When, in milliseconds since 1970, by the host's id; 0: nobody knows.
            now: The time in seconds, by the clock that is never set.
            wall: The time in seconds since 1970.

        Returns:
            Whether there is news.
        """
        if self.next_look == float("inf"):
            return False  # it was turned off
        self.next_look = now + self._interval
        known = {} if self.info is None else self.info.preempted_node_to_ranks
        hit = {node: list(ranks) for node, ranks in self._domains.items() if node in draining}
        ends = [draining[node] for node in hit if draining[node]]
        if self.info is not None and self.info.deadline_ms is not None:
            ends.append(self.info.deadline_ms)
        info = PreemptionInfo(min(ends, default=None), {**known, **hit})
        if not info.preempted_node_to_ranks or info == self.info:
            return False
        self.info = info
        left = _UNKNOWN_S if info.deadline_ms is None else info.deadline_ms / 1000 - wall
        end = now + left + self._grace
        self.deadline = end if self.deadline is None else min(self.deadline, end)
        return True

    def gone(self, now: float) -> None:
        """A host was taken away before its time: what the others still do for it does not last until that."""
        end = now + _UNKNOWN_S + self._grace
        self.deadline = end if self.deadline is None else min(self.deadline, end)

    def is_hit(self, rank: int) -> bool:
        """Whether a rank's host is one of those."""
        return self.info is not None and rank in self.info.preempted_ranks


def without(
    selector: Mapping[str, str] | Sequence[Mapping[str, str]] | None, hosts: Sequence[str], size: int
) -> list[dict[str, str]] | None:
    """Labels for each worker that keep them off some hosts.

    Args:
        selector: The labels that they have to have anyway; or a list with those for each worker.
        hosts: The hosts' ids.
        size: How many workers there are.

    Raises:
        ValueError: the labels that they have to have name a host already.
    """
    own = (
        [dict(selector or {})] * size
        if not isinstance(selector, Sequence)
        else [dict(one) for one in selector]
    )
    if not hosts:
        return own if selector else None
    named = next((one for one in own if _NODE_ID in one), None)
    if named is not None:
        raise ValueError(
            f"label_selector={named} says on which hosts workers run, and of them {', '.join(hosts)} will be taken away: "
            "start the run again with others."
        )
    return [{**one, _NODE_ID: f"!in({','.join(sorted(hosts))})"} for one in own]
