"""Tries each suggestion several times, and tells the searcher the mean."""

from __future__ import annotations

import copy
import math
from typing import Any

from skate.air.result import look_up
from skate.tune.search.searcher import Searcher

__all__ = [
    "Repeater",
    "TRIAL_INDEX",
]

TRIAL_INDEX = "__trial_index__"
"""The parameter that says which repetition a trial is."""


class Repeater(Searcher):
    """Tries each suggestion of a searcher several times, and tells it the mean of the metric.

    Args:
        searcher: The searcher.
        repeat: How often.
        set_index: Whether a trial is told which repetition it is, as the parameter `__trial_index__`.

    Example:
        >>> from skate.tune.search.optuna import OptunaSearch
        >>> repeated = Repeater(OptunaSearch(metric="loss", mode="min"), repeat=3)
    """

    def __init__(self, searcher: Searcher, repeat: int = 1, set_index: bool = True) -> None:
        self.searcher = searcher
        self.repeat = repeat
        self._set_index = set_index
        self._groups: list[_Group] = []
        self._group_of: dict[str, _Group] = {}
        super().__init__(metric=searcher.metric, mode=searcher.mode)

    @property
    def metric(self) -> Any:
        """The searcher's metric."""
        return self.searcher.metric

    @property
    def mode(self) -> Any:
        """The searcher's mode."""
        return self.searcher.mode

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Tell the searcher what is searched for."""
        return self.searcher.set_search_properties(metric, mode, config, **spec)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Tell the searcher."""
        return self.searcher.set_max_concurrency(max_concurrent)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The present suggestion again, or a new one if it has been tried often enough."""
        group = self._groups[-1] if self._groups else None
        if group is None or len(group.trials) >= self.repeat:
            config: Any = self.searcher.suggest(trial_id)
            if config is None or config == Searcher.FINISHED:
                return config  # type: ignore[no-any-return]  # a searcher's own answer, FINISHED too
            group = _Group(trial_id, config)
            self._groups.append(group)
        index = len(group.trials)
        group.trials[trial_id] = None
        self._group_of[trial_id] = group
        suggested = copy.deepcopy(group.config)
        if self._set_index:
            suggested[TRIAL_INDEX] = index
        return suggested

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the searcher the mean, when the last repetition has ended."""
        group = self._group_of.get(trial_id)
        if group is None:
            return
        value = look_up(result, str(self.metric)) if result else None
        group.trials[trial_id] = math.nan if value is None or error else float(value)
        if len(group.trials) == self.repeat and all(each is not None for each in group.trials.values()):
            scores = [each for each in group.trials.values() if each is not None and not math.isnan(each)]
            mean = sum(scores) / len(scores) if scores else math.nan
            self.searcher.on_trial_complete(group.primary, result={str(self.metric): mean}, error=not scores)
            for name in group.trials:
                del self._group_of[name]

    def get_state(self) -> dict[str, Any]:
        """Which suggestions have been tried, and how often."""
        return {name: value for name, value in self.__dict__.items() if name != "searcher"}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_state` returned."""
        self.__dict__.update(state)

    def save(self, checkpoint_path: str) -> None:
        """Save the searcher."""
        self.searcher.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Take back the searcher."""
        self.searcher.restore(checkpoint_path)


class _Group:
    """The repetitions of a suggestion."""

    def __init__(self, primary: str, config: dict[str, Any]) -> None:
        self.primary = primary
        self.config = config
        self.trials: dict[str, float | None] = {}
