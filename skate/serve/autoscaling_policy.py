"""How many replicas the load asks for: policies of autoscaling."""

from __future__ import annotations

from typing import Any

from skate.serve._private.controller.cold_start import cold_start
from skate.serve._private.prometheus import (
    PrometheusQueryMixin,
    PrometheusSample,
    PrometheusScalar,
    PrometheusVector,
)
from skate.serve.config import AutoscalingContext


def replica_queue_length_autoscaling_policy(ctx: AutoscalingContext) -> tuple[int | float, dict[str, Any]]:
    """As many replicas as give each `target_ongoing_requests`, counting requests that wait in handles.

    Factors, delays and bounds of the configuration are applied to what a policy returns, this one or another.

    Returns:
        The number of replicas, which may be a fraction, and the state that the policy is given next time.
    """
    first = cold_start(ctx)
    if first is not None:
        return first, ctx.policy_state
    if ctx.config is None or ctx.current_num_replicas == 0:
        return ctx.target_num_replicas, {}
    return ctx.total_num_requests / ctx.config.get_target_ongoing_requests(), {}


default_autoscaling_policy = replica_queue_length_autoscaling_policy

__all__ = [
    "PrometheusQueryMixin",
    "PrometheusSample",
    "PrometheusScalar",
    "PrometheusVector",
    "default_autoscaling_policy",
    "replica_queue_length_autoscaling_policy",
]
