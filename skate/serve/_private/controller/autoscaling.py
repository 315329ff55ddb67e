"""When the number of a deployment's replicas changes: measurements in, a number out. Pure: it is told the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from skate.serve._private.common import DeploymentID, ReplicaID
from skate.serve.config import AggregationFunction, AutoscalingConfig, AutoscalingContext
from skate.serve.schema import ScalingDecision

_MOST_DECISIONS = 20


def at_capacity(number: int, capacity: float | None) -> int:
    """That many replicas at a part of an instance's capacity, in per cent: at least one, unless there should be none."""
    if capacity is None or number == 0:
        return number
    if capacity == 0:
        return 0
    return max(1, int(number * capacity / 100 + 0.5))


@dataclass
class Autoscaler:
    """The autoscaling of one deployment."""

    id: DeploymentID
    config: AutoscalingConfig
    decisions: deque[ScalingDecision] = field(default_factory=lambda: deque(maxlen=_MOST_DECISIONS))
    queued: float = 0.0
    running: float = 0.0
    capacity: float | None = None
    """What part of the instance's capacity is used, in per cent; None: all."""
    _samples: deque[tuple[float, float, float]] = field(default_factory=deque)
    _wants_since: float | None = None
    _wants_up: bool = False
    _state: dict[str, Any] = field(default_factory=dict)
    _policy: Callable[..., Any] | None = None
    _last_up: float | None = None
    _last_down: float | None = None

    def observe(self, now: float, running: float, queued: float) -> None:
        """Note how many requests run in replicas, and how many wait in handles."""
        self.running = running
        self.queued = queued
        self._samples.append((now, running, queued))
        oldest = now - self.config.look_back_period_s
        while len(self._samples) > 1 and self._samples[0][0] < oldest:
            self._samples.popleft()

    def _aggregate(self) -> tuple[float, float]:
        """Running and waiting requests over the look-back period."""
        if not self._samples:
            return 0.0, 0.0
        kind = self.config.aggregation_function
        if kind == AggregationFunction.MEAN:
            count = len(self._samples)
            return sum(s[1] for s in self._samples) / count, sum(s[2] for s in self._samples) / count
        choose = max if kind == AggregationFunction.MAX else min
        picked = choose(self._samples, key=lambda s: s[1] + s[2])
        return picked[1], picked[2]

    def decide(self, now: float, current: int, target: int, replicas: list[ReplicaID]) -> int:
        """The number of replicas that there should be now.

        Args:
            now: Seconds.
            current: Replicas that run.
            target: What there should have been until now.
            replicas: Those that run.
        """
        config = self.config
        low, high = (at_capacity(n, self.capacity) for n in (config.min_replicas, config.max_replicas))
        running, queued = self._aggregate()
        if self._policy is None:
            self._policy = config.policy.get_policy()
        context = AutoscalingContext(
            deployment_id=self.id,
            deployment_name=self.id.name,
            app_name=self.id.app_name,
            current_num_replicas=current,
            target_num_replicas=target,
            running_replicas=replicas,
            total_num_requests=running + queued,
            total_queued_requests=queued,
            aggregated_metrics=None,
            raw_metrics=None,
            capacity_adjusted_min_replicas=low,
            capacity_adjusted_max_replicas=high,
            config=config,
            policy_state=self._state,
            last_scale_up_time=self._last_up,
            last_scale_down_time=self._last_down,
            current_time=now,
        )
        if target == 0:
            # Nothing runs, so there is nothing to average: whoever waits must not wait for the look-back period.
            context.total_num_requests = self.queued
            context.total_queued_requests = self.queued
        wanted, self._state = self._policy(context)
        wanted = max(low, min(high, int(wanted)))
        if wanted == target:
            self._wants_since = None
            return target
        up = wanted > target
        if self._wants_since is None or self._wants_up != up:
            self._wants_since, self._wants_up = now, up
        if now - self._wants_since < self._delay(target, up, wanted):
            return target
        if not up and wanted == 0 and target > 1:
            wanted = 1  # the last step has a delay of its own
        self._wants_since = None
        if up:
            self._last_up = now
        else:
            self._last_down = now
        self.decisions.append(
            ScalingDecision(
                timestamp_s=now,
                reason=f"{running + queued:.1f} requests on {current} replicas",
                prev_num_replicas=target,
                curr_num_replicas=wanted,
            )
        )
        return wanted

    def _delay(self, target: int, up: bool, wanted: int) -> float:
        config = self.config
        if up:
            return 0.0 if target == 0 else config.upscale_delay_s
        if target == 1 and wanted == 0 and config.downscale_to_zero_delay_s is not None:
            return config.downscale_to_zero_delay_s
        return config.downscale_delay_s
