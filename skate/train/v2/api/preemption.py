"""Hosts that are taken away from a run, with notice."""

from __future__ import annotations

from dataclasses import dataclass

from skate.air.session import present

__all__ = [
    "PreemptionInfo",
    "get_preemption_info",
]


@dataclass(frozen=True)
class PreemptionInfo:
    """Which hosts a run is about to lose.

    Args:
        deadline_ms: When, in milliseconds since 1970.
        preempted_node_to_ranks: The ranks on each of these hosts, by the host's id.
    """

    deadline_ms: int
    preempted_node_to_ranks: dict[str, list[int]]

    @property
    def preempted_node_ids(self) -> list[str]:
        """The hosts' ids."""
        return list(self.preempted_node_to_ranks)

    @property
    def preempted_ranks(self) -> list[int]:
        """The ranks on them, in order."""
        return sorted(rank for ranks in self.preempted_node_to_ranks.values() for rank in ranks)


def get_preemption_info() -> PreemptionInfo | None:
    """What is known of hosts that the run is about to lose.

    Returns:
        None, as no engine is given notice of it: hosts that go away are seen when they are gone.

    Raises:
        RuntimeError: called where no training function runs.
    """
    present("get_preemption_info")
    return None
