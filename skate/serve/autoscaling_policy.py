"""How many replicas the load asks for: policies of autoscaling."""

from __future__ import annotations

import math
from typing import Any

from skate.serve.config import AutoscalingContext


def replica_queue_length_autoscaling_policy(ctx: AutoscalingContext) -> tuple[int | float, dict[str, Any]]:
    """As many replicas as give each `target_ongoing_requests`, counting requests that wait in handles.

    Returns:
        The number of replicas, and the state that the policy is given next time.
    """
    config = ctx.config
    if config is None:
        return ctx.target_num_replicas, ctx.policy_state
    running = max(1, ctx.current_num_replicas)
    if ctx.current_num_replicas == 0:
        if not ctx.total_num_requests:
            return ctx.target_num_replicas, ctx.policy_state
        wanted = math.ceil(ctx.total_num_requests / config.get_target_ongoing_requests())
        return max(1, wanted), ctx.policy_state
    ratio = ctx.total_num_requests / running / config.get_target_ongoing_requests()
    factor = config.get_upscaling_factor() if ratio > 1 else config.get_downscaling_factor()
    smoothed = 1 + (ratio - 1) * factor
    wanted = math.ceil(round(running * smoothed, 6))
    if ratio < 1 and wanted == running and ctx.total_num_requests == 0:
        wanted = running - 1  # a small factor must not keep the last steps from being taken
    return max(0, wanted), ctx.policy_state


default_autoscaling_policy = replica_queue_length_autoscaling_policy

__all__ = ["default_autoscaling_policy", "replica_queue_length_autoscaling_policy"]
