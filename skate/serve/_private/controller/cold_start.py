"""From no replica to the first."""

from __future__ import annotations

import math

from skate.serve.config import AutoscalingContext


def cold_start(ctx: AutoscalingContext) -> int | None:
    """How many replicas there should be as nothing runs and somebody waits; None if something runs or nobody waits."""
    if ctx.current_num_replicas or not ctx.total_num_requests:
        return None
    factor = 1.0 if ctx.config is None else ctx.config.get_upscaling_factor()
    return max(math.ceil(factor), ctx.target_num_replicas)
