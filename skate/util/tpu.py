"""What this machine knows of Google's TPUs: how many chips it has, and the pod that it belongs to."""

from __future__ import annotations

import glob
import os
import re


def get_num_tpu_chips_on_node() -> int:
    """How many TPU chips this machine has; 0 without any.

    Example:
        >>> from skate.util.tpu import get_num_tpu_chips_on_node
        >>> get_num_tpu_chips_on_node() >= 0
        True
    """
    chips = [name for name in glob.glob("/dev/accel*") if re.fullmatch(r"/dev/accel\d+", name)]
    return len(chips or [name for name in glob.glob("/dev/vfio/*") if name.rpartition("/")[2].isdigit()])


def get_current_pod_name() -> str | None:
    """The name of the TPU pod that this machine belongs to, as the environment variable TPU_NAME has it; None if there is none."""
    return os.environ.get("TPU_NAME") or None


def get_current_pod_worker_count() -> int | None:
    """How many machines the TPU pod has, as TPU_WORKER_HOSTNAMES lists them; None if this machine is in no pod."""
    hosts = [host for host in os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",") if host.strip()]
    return len(hosts) or None


__all__ = ["get_current_pod_name", "get_current_pod_worker_count", "get_num_tpu_chips_on_node"]
