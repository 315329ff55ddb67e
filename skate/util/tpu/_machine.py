"""What this machine knows of Google's TPUs: how many chips it has, and the pod that it belongs to."""

from __future__ import annotations

import glob
import math
import os
import re

from skate.util.tpu._shapes import cores_per_chip


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
    """How many machines the TPU pod has; None if this machine is in no pod.

    Its pod type (TPU_ACCELERATOR_TYPE, such as "v6e-16") and its chips tell, or else the list of the pod's machines
    (TPU_WORKER_HOSTNAMES).
    """
    pod_type, chips = os.environ.get("TPU_ACCELERATOR_TYPE", ""), get_num_tpu_chips_on_node()
    if "-" in pod_type and chips:
        return math.ceil(int(pod_type.split("-")[1]) / (chips * cores_per_chip(pod_type)))
    hosts = [host for host in os.environ.get("TPU_WORKER_HOSTNAMES", "").split(",") if host.strip()]
    return len(hosts) or None
