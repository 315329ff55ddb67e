"""What an autoscaling policy is told of a deployment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from skate.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
    from skate.serve.config import AutoscalingConfig

V = TypeVar("V")
Figures = dict[str, dict["ReplicaID", float]]
History = dict[str, dict["ReplicaID", list["TimeStampedValue"]]]


class AutoscalingContext:
    """What an autoscaling policy is told. What costs something to compute may be given as a function, which is called once at most.

    Attributes:
        deployment_id: The deployment.
        deployment_name: Its name.
        app_name: Its application's.
        current_num_replicas: How many replicas run.
        target_num_replicas: How many there should have been until now.
        running_replicas: Those that run.
        total_num_requests: Requests that run or wait in handles, over the look-back period.
        total_queued_requests: Those of them that wait.
        aggregated_metrics: What replicas' `record_autoscaling_stats` returned, by its name and replica, over the look-back period.
        raw_metrics: The same, each value with the time at which it was taken.
        capacity_adjusted_min_replicas: The fewest replicas that there may be.
        capacity_adjusted_max_replicas: The most.
        policy_state: What the policy returned as its state the last time.
        last_scale_up_time: When replicas were added last, in seconds; None: never.
        last_scale_down_time: When some were removed last.
        current_time: Now.
        config: The deployment's autoscaling configuration.
    """

    def __init__(
        self,
        deployment_id: DeploymentID,
        deployment_name: str,
        app_name: str | None,
        current_num_replicas: int,
        target_num_replicas: int,
        running_replicas: list[ReplicaID],
        total_num_requests: float | Callable[[], float],
        total_queued_requests: float | Callable[[], float] | None,
        aggregated_metrics: Figures | Callable[[], Figures] | None,
        raw_metrics: History | Callable[[], History] | None,
        capacity_adjusted_min_replicas: int,
        capacity_adjusted_max_replicas: int,
        policy_state: dict[str, Any],
        last_scale_up_time: float | None,
        last_scale_down_time: float | None,
        current_time: float | None,
        config: AutoscalingConfig | None,
    ) -> None:
        self.deployment_id = deployment_id
        self.deployment_name = deployment_name
        self.app_name = app_name
        self.current_num_replicas = current_num_replicas
        self.target_num_replicas = target_num_replicas
        self.running_replicas = running_replicas
        self.capacity_adjusted_min_replicas = capacity_adjusted_min_replicas
        self.capacity_adjusted_max_replicas = capacity_adjusted_max_replicas
        self.policy_state = policy_state
        self.last_scale_up_time = last_scale_up_time
        self.last_scale_down_time = last_scale_down_time
        self.current_time = current_time
        self.config = config
        self._requests = total_num_requests
        self._queued = total_queued_requests
        self._aggregated = aggregated_metrics
        self._raw = raw_metrics

    @cached_property
    def total_num_requests(self) -> float:
        """See the class."""
        return _value(self._requests)

    @cached_property
    def total_queued_requests(self) -> float | None:
        """See the class."""
        return _value(self._queued)

    @cached_property
    def aggregated_metrics(self) -> Figures | None:
        """See the class."""
        return _value(self._aggregated)

    @cached_property
    def raw_metrics(self) -> History | None:
        """See the class."""
        return _value(self._raw)

    @property
    def total_running_requests(self) -> float:
        """Requests that replicas run."""
        return max(0.0, self.total_num_requests - (self.total_queued_requests or 0.0))


def _value(given: V | Callable[[], V]) -> V:
    return given() if callable(given) else given
