"""Small helpers on nested dictionaries and dates, which the rest of Tune and its users share."""

from __future__ import annotations

from skate.tune.utils.dictionaries import (
    deep_update,
    flatten_dict,
    merge_dicts,
    unflatten_dict,
    unflattened_lookup,
)
from skate.tune.utils.util import (
    date_str,
    diagnose_serialization,
    validate_save_restore,
    wait_for_gpu,
    warn_if_slow,
)

__all__ = [
    "date_str",
    "deep_update",
    "diagnose_serialization",
    "flatten_dict",
    "merge_dicts",
    "unflatten_dict",
    "unflattened_lookup",
    "validate_save_restore",
    "wait_for_gpu",
    "warn_if_slow",
]
