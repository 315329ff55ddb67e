"""The reporter that is used when none is named: a table now and then, and a line for each trial that ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from skate.tune.callback import Callback
from skate.tune.reporting import table as _table
from skate.tune.utils.verbosity import AirVerbosity

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "ProgressReporter",
    "TrainReporter",
    "TuneReporterBase",
    "TuneTerminalReporter",
]

_BETWEEN_S = 30.0


class ProgressReporter(Callback):
    """Shows how a search or a training run goes on.

    Args:
        verbosity: How much is shown.
    """

    def __init__(self, verbosity: AirVerbosity = AirVerbosity.DEFAULT) -> None:
        self._verbosity = verbosity
        self._start_time = time.time()
        self._last = 0.0

    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Take note of when it began."""
        self._start_time = info.get("start_time") or time.time()
        self._total = total_num_samples

    def print_heartbeat(self, trials: list[Trial], *args: str, force: bool = False) -> None:
        """Show a table if it is time for one.

        Args:
            trials: All trials.
            *args: Lines about resources.
            force: Whether it is time in any case.
        """
        now = time.time()
        if force or now - self._last >= _BETWEEN_S:
            self._last = now
            self._print(self._heartbeat(trials, *args))

    def _heartbeat(self, trials: list[Trial], *sys_info: str) -> str:
        raise NotImplementedError

    def _print(self, text: str) -> None:
        if self._verbosity > AirVerbosity.SILENT:
            print(text, end="\n\n", flush=True)  # noqa: T201 - what it is for


class TuneReporterBase(ProgressReporter):
    """What reporters of searches share.

    Args:
        verbosity: How much is shown.
        num_samples: How many trials there will be.
        metric: The metric by which trials are compared.
        mode: "min" or "max".
        config: The search space.
        progress_metrics: Metrics to show; default: some are found.
    """

    def __init__(
        self,
        verbosity: AirVerbosity = AirVerbosity.DEFAULT,
        num_samples: int = 0,
        metric: str | None = None,
        mode: str | None = None,
        config: dict[str, Any] | None = None,
        progress_metrics: list[str] | dict[str, str] | None = None,
    ) -> None:
        super().__init__(verbosity)
        self._num_samples = num_samples
        self._metric = metric
        self._mode = mode
        self._columns = _table.Columns(metrics=progress_metrics)

    def _heartbeat(self, trials: list[Trial], *sys_info: str) -> str:
        lines = [
            f"Trial status: {_table.counts(trials)}",
            _table.clock_line(self._start_time, time.time()),
            *sys_info,
            _table.best_line(trials, self._metric, self._mode),
            _table.trial_table(trials, self._columns) if trials else "",
        ]
        return "\n".join(line for line in lines if line)


class TuneTerminalReporter(TuneReporterBase):
    """Prints a table now and then, and with more verbosity each result."""

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Print it, if that is wanted."""
        if self._verbosity >= AirVerbosity.VERBOSE:
            own = {
                key: value
                for key, value in result.items()
                if key not in ("config", "timestamp", "date", "pid")
            }
            self._print(f"Trial {trial} reported {own}")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Print where the error is told."""
        self._print(f"Trial {trial} errored. Error file: {trial.error_file}")

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Print the last table."""
        text = self._heartbeat(trials)
        errors = _table.error_table(trials)
        self._print(f"{text}\n\n{errors}" if errors else text)


class TrainReporter(ProgressReporter):
    """Shows how a training run goes on."""

    def _heartbeat(self, trials: list[Trial], *sys_info: str) -> str:
        return "\n".join(
            [f"Training status: {_table.counts(trials)}", _table.clock_line(self._start_time, time.time())]
        )
