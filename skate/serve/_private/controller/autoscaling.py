"""When the number of a deployment's replicas changes: measurements in, a number out. Pure: it is told the time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skate.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from skate.serve._private.controller.cold_start import cold_start
from skate.serve.config import AggregationFunction, AutoscalingConfig, AutoscalingContext
from skate.serve.schema import ScalingDecision

_MOST_DECISIONS = 20
_DIGITS = 6
"""A sum of fractions that should be a whole number is taken for one: 3.0000000001 replicas are 3."""


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
    state: dict[str, Any] = field(default_factory=dict)
    """What the policy wants to be told again the next time."""
    _samples: deque[tuple[float, float, float]] = field(default_factory=deque)
    _stats: dict[str, dict[ReplicaID, deque[TimeStampedValue]]] = field(default_factory=dict)
    _wants_since: float | None = None
    _wants_up: bool = False
    _policy: Callable[..., Any] | None = None
    _last_up: float | None = None
    _last_down: float | None = None

    # -- what is measured ----------------------------------------

    def observe(
        self,
        now: float,
        running: float,
        queued: float,
        stats: Mapping[ReplicaID, Mapping[str, float]] | None = None,
    ) -> None:
        """Note how many requests run in replicas, how many wait in handles, and what replicas say of themselves."""
        self.running = running
        self.queued = queued
        self._samples.append((now, running, queued))
        oldest = now - self.config.look_back_period_s
        while len(self._samples) > 1 and self._samples[0][0] < oldest:
            self._samples.popleft()
        for replica, figures in (stats or {}).items():
            for name, value in figures.items():
                values = self._stats.setdefault(name, {}).setdefault(replica, deque())
                values.append(TimeStampedValue(now, float(value)))
        for by_replica in self._stats.values():
            for values in by_replica.values():
                while len(values) > 1 and values[0].timestamp < oldest:
                    values.popleft()

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

    def _figure(self, values: deque[TimeStampedValue]) -> float:
        """A replica's own figure over the look-back period."""
        numbers = [each.value for each in values]
        if self.config.aggregation_function == AggregationFunction.MEAN:
            return sum(numbers) / len(numbers)
        return (max if self.config.aggregation_function == AggregationFunction.MAX else min)(numbers)

    def context(self, now: float, current: int, target: int, replicas: list[ReplicaID]) -> AutoscalingContext:
        """What a policy is told.

        Args:
            now: Seconds.
            current: How many replicas run.
            target: How many there should have been until now.
            replicas: Those that run.
        """
        running, queued = self._aggregate()
        if target == 0:
            # Nothing runs, so there is nothing to average: whoever waits must not wait for the look-back period.
            running, queued = 0.0, self.queued
        alive = set(replicas)
        for name in list(self._stats):
            self._stats[name] = {id_: values for id_, values in self._stats[name].items() if id_ in alive}
        kept = {name: by for name, by in self._stats.items() if by}
        config = self.config
        return AutoscalingContext(
            deployment_id=self.id,
            deployment_name=self.id.name,
            app_name=self.id.app_name,
            current_num_replicas=current,
            target_num_replicas=target,
            running_replicas=replicas,
            total_num_requests=running + queued,
            total_queued_requests=queued,
            aggregated_metrics=lambda: {
                name: {id_: self._figure(values) for id_, values in by.items()} for name, by in kept.items()
            },
            raw_metrics=lambda: {
                name: {id_: list(values) for id_, values in by.items()} for name, by in kept.items()
            },
            capacity_adjusted_min_replicas=at_capacity(config.min_replicas, self.capacity),
            capacity_adjusted_max_replicas=at_capacity(config.max_replicas, self.capacity),
            policy_state=dict(self.state),
            last_scale_up_time=self._last_up,
            last_scale_down_time=self._last_down,
            current_time=now,
            config=config,
        )

    # -- what follows from it ----------------------------------------

    def decide(self, context: AutoscalingContext) -> int:
        """The number of replicas that there should be now, by the deployment's own policy."""
        wanted: float | None = cold_start(context)
        if wanted is None:
            if self._policy is None:
                self._policy = self.config.policy.make()
            wanted, state = self._policy(context)
            self.state = dict(state or {})
        return self.settle(context, wanted)

    def settle(self, context: AutoscalingContext, wanted: float) -> int:
        """The number of replicas that there should be now, as a policy wants so many: its factors, delays and bounds are applied."""
        now = context.current_time
        assert now is not None
        low, high = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
        current, target = context.current_num_replicas, context.target_num_replicas
        number = max(low, min(high, target))  # bounds that have changed hold at once
        if number == target:
            number = self._delayed(now, context, max(low, min(high, self._smoothed(wanted, current))))
        if number == target:
            return target
        self._wants_since = None
        if number > target:
            self._last_up = now
        else:
            self._last_down = now
        self.decisions.append(
            ScalingDecision(
                timestamp_s=now,
                reason=f"{context.total_num_requests:.1f} requests on {current} replicas",
                prev_num_replicas=target,
                curr_num_replicas=number,
            )
        )
        return number

    def _smoothed(self, wanted: float, current: int) -> int:
        """How far the configured factors let the number go at once."""
        if current == 0:
            return math.ceil(round(wanted, _DIGITS))
        config = self.config
        factor = config.get_upscaling_factor() if wanted > current else config.get_downscaling_factor()
        number = math.ceil(round(current + factor * (wanted - current), _DIGITS))
        if number == current and math.ceil(round(wanted, _DIGITS)) < current:
            number -= 1  # a small factor must not keep the last steps from being taken
        return number

    def _delayed(self, now: float, context: AutoscalingContext, number: int) -> int:
        """That number once it has been wanted for as long as is configured; until then, what there should have been before."""
        target = context.target_num_replicas
        if number == target:
            self._wants_since = None
            return target
        up = number > target
        if self._wants_since is None or self._wants_up != up:
            self._wants_since, self._wants_up = now, up
        if now - self._wants_since < self._delay(context, up):
            return target
        # The last step has a delay of its own.
        return 1 if number == 0 and target > 1 else number

    def _delay(self, context: AutoscalingContext, up: bool) -> float:
        config = self.config
        if up:
            return 0.0 if context.current_num_replicas == 0 else config.upscale_delay_s
        if context.target_num_replicas == 1 and config.downscale_to_zero_delay_s is not None:
            return config.downscale_to_zero_delay_s
        return config.downscale_delay_s
