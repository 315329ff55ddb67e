"""The base of schedulers, which decide how long trials run, and the simplest of them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "FIFOScheduler",
    "TrialScheduler",
]


class TrialScheduler:
    """Decides after each result whether a trial goes on, and which trial starts next."""

    CONTINUE = "CONTINUE"
    PAUSE = "PAUSE"
    STOP = "STOP"
    NOOP = "NOOP"
    """The scheduler has seen to the trial itself."""

    _metric: str | None = None
    _supports_buffered_results = True

    @property
    def metric(self) -> str | None:
        """The metric by which trials are compared."""
        return self._metric

    @property
    def supports_buffered_results(self) -> bool:
        """Whether results may come several at once."""
        return self._supports_buffered_results

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Learn what is searched for; called before the first trial.

        Args:
            metric: The metric.
            mode: "min" or "max".
            **spec: What else is known about the experiment.

        Returns:
            Whether that could be taken note of: not if it has been said already.
        """
        if self._metric and metric:
            return False
        if metric:
            self._metric = metric
        return True

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Learn of a new trial."""
        raise NotImplementedError

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Learn that a trial has failed for good."""
        raise NotImplementedError

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Decide what a trial does after a result.

        Args:
            tune_controller: What runs the trials.
            trial: The trial.
            result: The result.

        Returns:
            CONTINUE, PAUSE, STOP or NOOP.
        """
        raise NotImplementedError

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Learn that a trial has ended by itself."""
        raise NotImplementedError

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Learn that a trial is taken out before it has ended."""
        raise NotImplementedError

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Which trial starts or goes on next; there is room for it.

        Returns:
            A pending or paused trial, or None.
        """
        raise NotImplementedError

    def debug_string(self) -> str:
        """What the scheduler does, for people."""
        raise NotImplementedError

    def save(self, checkpoint_path: str) -> None:
        """Save the scheduler's state to a file."""
        with open(checkpoint_path, "wb") as file:
            pickle.dump(self, file)

    def restore(self, checkpoint_path: str) -> None:
        """Take back a state that was saved."""
        with open(checkpoint_path, "rb") as file:
            self.__dict__ = pickle.load(file).__dict__


class FIFOScheduler(TrialScheduler):
    """Runs trials one after the other, each to its end."""

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Nothing to do."""

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Nothing to do."""

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Go on."""
        return TrialScheduler.CONTINUE

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Nothing to do."""

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Nothing to do."""

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """The first that is pending, or else the first that is paused."""
        for status in ("PENDING", "PAUSED"):
            for trial in tune_controller.get_startable_trials():
                if trial.status == status and tune_controller.has_resources_for_trial(trial):
                    return trial
        return None

    def debug_string(self) -> str:
        """What it does."""
        return "Using FIFO scheduling algorithm."
