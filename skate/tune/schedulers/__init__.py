"""How long trials run, and which runs next."""

from __future__ import annotations

import importlib
from typing import Any

from skate.tune.schedulers.async_hyperband import ASHAScheduler, AsyncHyperBandScheduler
from skate.tune.schedulers.hb_bohb import HyperBandForBOHB
from skate.tune.schedulers.hyperband import HyperBandScheduler
from skate.tune.schedulers.median_stopping_rule import MedianStoppingRule
from skate.tune.schedulers.optuna_pruning import OptunaPruning
from skate.tune.schedulers.pbt import PopulationBasedTraining
from skate.tune.schedulers.pbt_replay import PopulationBasedTrainingReplay
from skate.tune.schedulers.resource_changing_scheduler import ResourceChangingScheduler
from skate.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler

__all__ = [
    "ASHAScheduler",
    "AsyncHyperBandScheduler",
    "FIFOScheduler",
    "HyperBandForBOHB",
    "HyperBandScheduler",
    "MedianStoppingRule",
    "OptunaPruning",
    "PopulationBasedTraining",
    "PopulationBasedTrainingReplay",
    "ResourceChangingScheduler",
    "TrialScheduler",
    "create_scheduler",
]

_NAMES = {
    "fifo": ("trial_scheduler", "FIFOScheduler"),
    "async_hyperband": ("async_hyperband", "AsyncHyperBandScheduler"),
    "asynchyperband": ("async_hyperband", "AsyncHyperBandScheduler"),
    "asha": ("async_hyperband", "AsyncHyperBandScheduler"),
    "median_stopping_rule": ("median_stopping_rule", "MedianStoppingRule"),
    "medianstopping": ("median_stopping_rule", "MedianStoppingRule"),
    "hyperband": ("hyperband", "HyperBandScheduler"),
    "hb_bohb": ("hb_bohb", "HyperBandForBOHB"),
    "optuna_pruning": ("optuna_pruning", "OptunaPruning"),
    "pbt": ("pbt", "PopulationBasedTraining"),
    "pbt_replay": ("pbt_replay", "PopulationBasedTrainingReplay"),
    "pb2": ("pb2", "PB2"),
    "resource_changing": ("resource_changing_scheduler", "ResourceChangingScheduler"),
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
