"""How a search is done, and what of it is taken up again after an end."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial
    from skate.tune.schedulers.trial_scheduler import TrialScheduler
    from skate.tune.search.search_algorithm import SearchAlgorithm
    from skate.tune.search.searcher import Searcher

__all__ = [
    "ResumeConfig",
    "TuneConfig",
]

_DEPRECATED = "DEPRECATED"


@dataclass
class TuneConfig:
    """How a search is done.

    Args:
        mode: Whether the metric is to become "min" or "max".
        metric: The metric by which trials are compared.
        search_alg: What suggests parameters; default: grid and random search, or with more than ten samples of a metric
            Optuna, where it knows all the domains.
        scheduler: What decides how long trials run; default: each runs to its end.
        num_samples: How often each combination of the grids is tried, or how many trials there are; -1: without end.
        max_concurrent_trials: How many trials run at once; default: as many as there is room for.
        time_budget_s: Seconds after which the search stops.
        reuse_actors: Whether a class trainable becomes the next trial by `reset_config` rather than being made anew.
            Processes are reused in any case.
        trial_name_creator: Makes a trial's name.
        trial_dirname_creator: Makes the name of a trial's directory.
        chdir_to_trial_dir: No longer accepted: set the environment variable RAY_CHDIR_TO_TRIAL_DIR=0.
    """

    mode: str | None = None
    metric: str | None = None
    search_alg: Searcher | SearchAlgorithm | None = None
    scheduler: TrialScheduler | None = None
    num_samples: int = 1
    max_concurrent_trials: int | None = None
    time_budget_s: float | datetime.timedelta | None = None
    reuse_actors: bool = False
    trial_name_creator: Callable[[Trial], str] | None = None
    trial_dirname_creator: Callable[[Trial], str] | None = None
    chdir_to_trial_dir: Any = _DEPRECATED

    def __post_init__(self) -> None:
        if self.chdir_to_trial_dir != _DEPRECATED:
            raise DeprecationWarning(
                "`chdir_to_trial_dir` is deprecated. Set the environment variable RAY_CHDIR_TO_TRIAL_DIR=0 instead."
            )


class _ResumeType(Enum):
    """What happens to a trial of an experiment that is taken up again."""

    RESUME = "resume"
    RESTART = "restart"
    SKIP = "skip"


@dataclass
class ResumeConfig:
    """What happens to the trials of an experiment that is taken up again.

    Args:
        finished: To those that have ended well: SKIP, or RESTART.
        unfinished: To those that have not ended: RESUME from their last checkpoints, RESTART, or SKIP.
        errored: To those that have failed: SKIP, RESUME or RESTART.
    """

    ResumeType = _ResumeType

    finished: Any = _ResumeType.SKIP
    unfinished: Any = _ResumeType.RESUME
    errored: Any = _ResumeType.SKIP

    def __post_init__(self) -> None:
        for name in ("finished", "unfinished", "errored"):
            setattr(self, name, _ResumeType(getattr(self, name)))
        if self.finished == _ResumeType.RESUME:
            raise ValueError(
                "ResumeConfig(finished=RESUME): there is nothing left to resume of a trial that has ended well."
            )
