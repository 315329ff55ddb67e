"""Hosts that are taken away from a run, with notice."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "PreemptionInfo",
    "get_preemption_info",
]


@dataclass(frozen=True)
class PreemptionInfo:
    """Which hosts a run is about to lose.

    Args:
        deadline_ms: When the first will go, in milliseconds since 1970; None: nobody knows.
        preempted_node_to_ranks: The ranks that go with each of these hosts, by the host's id.
    """

    deadline_ms: int | None
    preempted_node_to_ranks: dict[str, list[int]]

    @property
    def preempted_node_ids(self) -> list[str]:
        """The hosts' ids, in order."""
        return sorted(self.preempted_node_to_ranks)

    @property
    def preempted_ranks(self) -> list[int]:
        """The ranks on them, in order."""
        return sorted({rank for ranks in self.preempted_node_to_ranks.values() for rank in ranks})


def get_preemption_info() -> PreemptionInfo | None:
    """What is known of hosts that the run is about to lose, so that a checkpoint can be saved before.

    Notice is given by `skate drain-node` or `skate.util.drain.drain_node`. When a host goes, or its time has come, the workers start
    again elsewhere, from the latest checkpoint, as often as `FailureConfig(max_preemption_failures=…)` allows; a run that returns before
    has ended well. Every worker has to call this equally often: all wait for one another, and get the same answer.

    Returns:
        The hosts, the ranks on them and the time; None if there has been no notice.

    Raises:
        RuntimeError: called outside of a trainer's training function.

    Example:
        A loop that saves once more when it has been told::

            saved = False
            for step in range(1000):
                ...
                if train.get_preemption_info() is not None and not saved:
                    train.report(metrics, checkpoint=checkpoint)
                    saved = True
    """
    from skate.train._run.session import present_worker

    found: PreemptionInfo | None = present_worker("get_preemption_info").meet("get_preemption_info")
    return found
