"""Where a search's trials come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.tune.experiment.experiment import Experiment
    from skate.tune.experiment.trial import Trial

__all__ = [
    "SearchAlgorithm",
]


class SearchAlgorithm:
    """Makes trials, and learns from their results."""

    _finished = False
    _metric: str | None = None

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Learn what is searched for.

        Args:
            metric: The metric.
            mode: "min" or "max".
            config: The search space.
            **spec: What else is known about the experiment.

        Returns:
            Whether that could be taken note of.
        """
        if self._metric and metric:
            return False
        if metric:
            self._metric = metric
        return True

    @property
    def metric(self) -> str | None:
        """The metric."""
        return self._metric

    @property
    def total_samples(self) -> int:
        """How many trials there will be; 0 if that is not known."""
        return 0

    def add_configurations(
        self, experiments: Experiment | list[Experiment] | dict[str, dict[str, Any]]
    ) -> None:
        """Take up experiments to make trials for."""
        raise NotImplementedError

    def next_trial(self) -> Trial | None:
        """The next trial; None if there is none now."""
        raise NotImplementedError

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Learn of a result of a trial that goes on."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Learn that a trial has ended."""

    def is_finished(self) -> bool:
        """Whether there will be no more trials."""
        return self._finished

    def set_finished(self) -> None:
        """Make no more trials."""
        self._finished = True

    def has_checkpoint(self, dirpath: str) -> bool:
        """Whether there is saved state in a directory."""
        return False

    def save_to_dir(self, dirpath: str, **kwargs: Any) -> None:
        """Save what has been learned into a directory."""

    def restore_from_dir(self, dirpath: str) -> None:
        """Take back what was saved."""

    def resume(self, trials: list[Trial]) -> None:
        """Take note of trials of an experiment that is restored, some of which it may not have known when it was saved."""
