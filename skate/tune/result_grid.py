"""The results of a search, one for each trial."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skate.air.result import Result
from skate.tune.experiment.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from skate.tune.analysis.experiment_analysis import ExperimentAnalysis
    from skate.tune.analysis.plot import Plot

__all__ = [
    "ResultGrid",
]


class ResultGrid:
    """The results of a search, one for each trial, in the order in which trials were made.

    Args:
        experiment_analysis: The experiment.
    """

    def __init__(self, experiment_analysis: ExperimentAnalysis) -> None:
        self._experiment_analysis = experiment_analysis
        self._made: dict[str, Result] = {}

    @property
    def experiment_path(self) -> str:
        """The experiment's directory on its file system."""
        return self._experiment_analysis.experiment_path

    @property
    def filesystem(self) -> Any:
        """The pyarrow file system on which the experiment lies."""
        return self._experiment_analysis.filesystem

    def get_best_result(
        self,
        metric: str | None = None,
        mode: str | None = None,
        scope: str = "last",
        filter_nan_and_inf: bool = True,
    ) -> Result:
        """The result of the best trial.

        Args:
            metric: The metric to compare by; default: that of the search.
            mode: "min" or "max"; default: that of the search.
            scope: Which of a trial's results count: "last", the best of "all", their "avg", "last-5-avg" or "last-10-avg".
            filter_nan_and_inf: Leave out trials whose metric is NaN or infinite.

        Returns:
            The result.

        Raises:
            ValueError: metric or mode is neither given nor known.
            RuntimeError: no trial has reported the metric.
        """
        analysis = self._experiment_analysis
        if len(self) == 1:  # whatever it reported, there is no better one
            return self[0]
        if not metric and not analysis.default_metric:
            raise ValueError(
                "No metric is provided. Either pass in a `metric` arg to `get_best_result` or specify a metric in the "
                "`TuneConfig` of your `Tuner`."
            )
        if not mode and not analysis.default_mode:
            raise ValueError(
                "No mode is provided. Either pass in a `mode` arg to `get_best_result` or specify a mode in the "
                "`TuneConfig` of your `Tuner`."
            )
        best = analysis.get_best_trial(metric, mode, scope, filter_nan_and_inf)
        if best is None:
            name = metric or analysis.default_metric
            hint = " This means that no trial has reported this metric"
            hint += ", or all values reported for this metric are NaN." if filter_nan_and_inf else "."
            raise RuntimeError(
                f"No best trial found for the given metric: {name}.{hint} To not ignore NaN values, you can set the "
                f"`filter_nan_and_inf` arg to False. {analysis._seen()}"  # noqa: SLF001 - the other half of this class
            )
        return self._result_of(best)

    def get_dataframe(self, filter_metric: str | None = None, filter_mode: str | None = None) -> pd.DataFrame:
        """One result of each trial, one a row.

        Args:
            filter_metric: Take the result in which this metric was best; default: the last result.
            filter_mode: "min" or "max".

        Returns:
            The table, with the parameters in columns "config/…" and the directory in "logdir".
        """
        return self._experiment_analysis.dataframe(metric=filter_metric, mode=filter_mode)

    def plot(self, kind: str | None = None, metric: str | None = None, mode: str | None = None) -> Plot:
        """Draw the search.

        Args:
            kind: "history", "importances", "parallel" for all parameters side by side, or "slices" for each of them against
                the metric; default: all of these on one page.
            metric: The metric; default: that of the search.
            mode: "min" or "max"; default: that of the search.

        Returns:
            A plot: a notebook shows it, and `save("search.html")` or `save("search.png")` writes it.

        Raises:
            ValueError: there is no such kind, or metric or mode is not known.
        """
        from skate.tune.analysis.explain import observe
        from skate.tune.analysis.plot import plot

        return plot(observe(self, metric, mode), kind)

    @property
    def errors(self) -> list[Exception]:
        """What trials have failed with."""
        return [error for trial in self._trials if (error := _error_of(trial)) is not None]

    @property
    def num_errors(self) -> int:
        """How many trials have failed."""
        return sum(1 for trial in self._trials if trial.status == Trial.ERROR)

    @property
    def num_terminated(self) -> int:
        """How many trials have ended well."""
        return sum(1 for trial in self._trials if trial.status == Trial.TERMINATED)

    @property
    def _trials(self) -> list[Trial]:
        return self._experiment_analysis.trials

    def __len__(self) -> int:
        return len(self._trials)

    def __getitem__(self, i: int) -> Result:
        """The result of the trial that was made as the i-th."""
        return self._result_of(self._trials[i])

    def __iter__(self) -> Iterator[Result]:
        return (self[number] for number in range(len(self)))

    def _result_of(self, trial: Trial) -> Result:
        if trial.trial_id not in self._made:
            filesystem = trial.storage.storage_filesystem if trial.storage else None
            self._made[trial.trial_id] = Result(
                metrics=trial.last_result,
                checkpoint=trial.checkpoint,
                error=_error_of(trial),
                path=trial.path or "",
                best_checkpoints=[
                    (saved.checkpoint, saved.metrics) for saved in trial.checkpoints.best if saved.checkpoint
                ],
                _storage_filesystem=filesystem,
            )
        return self._made[trial.trial_id]

    def __repr__(self) -> str:
        results = ",\n".join("  " + repr(result).replace("\n", "\n  ") for result in self)
        return f"{type(self).__name__}<[\n{results}\n]>"


def _error_of(trial: Trial) -> Exception | None:
    return trial.error if trial.status == Trial.ERROR else None
