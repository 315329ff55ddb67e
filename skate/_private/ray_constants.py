"""Constants that libraries read: names of environment variables and units, as in Ray."""

from __future__ import annotations

ID_SIZE = 28
MEMORY_RESOURCE_UNIT_BYTES = 1
RESOURCE_CONSTRAINT_PREFIX = "accelerator_type:"
NOSET_CUDA_VISIBLE_DEVICES_ENV_VAR = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"

__all__ = [
    "ID_SIZE",
    "MEMORY_RESOURCE_UNIT_BYTES",
    "NOSET_CUDA_VISIBLE_DEVICES_ENV_VAR",
    "RESOURCE_CONSTRAINT_PREFIX",
]
