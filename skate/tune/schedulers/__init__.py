"""How long trials run, and which runs next."""

from __future__ import annotations

import importlib
from typing import Any

from skate.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler

__all__ = ["FIFOScheduler", "TrialScheduler", "create_scheduler"]

_NAMES = {
    "fifo": ("trial_scheduler", "FIFOScheduler"),
}


def create_scheduler(scheduler: str, **kwargs: Any) -> TrialScheduler:
    """Make a scheduler by its name.

    Args:
        scheduler: The name, such as "async_hyperband" or "pbt".
        **kwargs: For the scheduler.

    Returns:
        The scheduler.

    Raises:
        ValueError: there is none of the name.

    Example:
        >>> type(create_scheduler("fifo")).__name__
        'FIFOScheduler'
    """
    key = scheduler.lower()
    if key not in _NAMES:
        raise ValueError(
            f"The `scheduler` argument must be one of {list(_NAMES)}. Got: {scheduler!r}. Pass a TrialScheduler for "
            "one of your own."
        )
    module, name = _NAMES[key]
    made: TrialScheduler = getattr(importlib.import_module(f"{__name__}.{module}"), name)(**kwargs)
    return made
