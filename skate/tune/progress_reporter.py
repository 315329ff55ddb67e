"""What shows the progress of a search."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from skate.tune.reporting import notebook as _notebook
from skate.tune.reporting import table as _table

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "CLIReporter",
    "JupyterNotebookReporter",
    "ProgressReporter",
    "TuneReporterBase",
]


class ProgressReporter:
    """Shows the progress of a search. Subclasses define `should_report` and `report`."""

    def setup(
        self,
        start_time: float | None = None,
        total_samples: int | None = None,
        metric: str | None = None,
        mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Learn what is searched for; called before the first report.

        Args:
            start_time: When the search began, in seconds since 1970.
            total_samples: How many trials there will be.
            metric: The metric by which trials are compared.
            mode: "min" or "max".
            **kwargs: For what may come.
        """

    def should_report(self, trials: list[Trial], done: bool = False) -> bool:
        """Whether it is time for a report.

        Args:
            trials: All trials.
            done: Whether the search has ended.
        """
        raise NotImplementedError

    def report(self, trials: list[Trial], done: bool, *sys_info: str) -> None:
        """Show the progress.

        Args:
            trials: All trials.
            done: Whether the search has ended.
            *sys_info: Lines about resources.
        """
        raise NotImplementedError


class TuneReporterBase(ProgressReporter):
    """What reporters of tables share.

    Args:
        metric_columns: Metrics to show; titles by name, or names. Default: some are found.
        parameter_columns: Parameters to show; default: those that are chosen.
        total_samples: How many trials there will be.
        max_progress_rows: How many trials are shown.
        max_error_rows: How many failed trials are shown.
        max_column_length: How many characters a cell has.
        max_report_frequency: Seconds between two reports.
        infer_limit: How many metrics are found.
        print_intermediate_tables: Whether tables are shown before the end; default: yes.
        metric: The metric by which trials are compared.
        mode: "min" or "max".
        sort_by_metric: Whether the best trials come first.
    """

    DEFAULT_COLUMNS: ClassVar[dict[str, str]] = dict(_table.USUAL_COLUMNS)
    """Titles of metrics that are shown where they are reported."""

    def __init__(
        self,
        *,
        metric_columns: list[str] | dict[str, str] | None = None,
        parameter_columns: list[str] | dict[str, str] | None = None,
        total_samples: int | None = None,
        max_progress_rows: int = 20,
        max_error_rows: int = 20,
        max_column_length: int = 20,
        max_report_frequency: int = 5,
        infer_limit: int = 3,
        print_intermediate_tables: bool | None = None,
        metric: str | None = None,
        mode: str | None = None,
        sort_by_metric: bool = False,
    ) -> None:
        self._columns = _table.Columns(
            metric_columns, parameter_columns, max_progress_rows, max_column_length, infer_limit
        )
        self._total_samples = total_samples
        self._max_error_rows = max_error_rows
        self._max_report_frequency = max_report_frequency
        self._print_intermediate_tables = print_intermediate_tables is not False
        self._metric = metric
        self._mode = mode
        self._sort_by_metric = sort_by_metric
        self._start_time = time.time()
        self._last_report_time = 0.0

    def setup(
        self,
        start_time: float | None = None,
        total_samples: int | None = None,
        metric: str | None = None,
        mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Learn what is searched for."""
        self.set_start_time(start_time)
        if total_samples is not None:
            self.set_total_samples(total_samples)
        self.set_search_properties(metric, mode)

    def set_search_properties(self, metric: str | None, mode: str | None) -> bool:
        """Learn the metric, unless it has been said."""
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._metric = self._metric or metric
        self._mode = self._mode or mode
        return True

    def set_total_samples(self, total_samples: int) -> None:
        """Learn how many trials there will be."""
        self._total_samples = total_samples

    def set_start_time(self, timestamp: float | None = None) -> None:
        """Learn when the search began; default: now."""
        self._start_time = time.time() if timestamp is None else timestamp

    def should_report(self, trials: list[Trial], done: bool = False) -> bool:
        """Whether the last report is old enough."""
        now = time.time()
        if done or now - self._last_report_time > self._max_report_frequency:
            self._last_report_time = now
            return True
        return False

    def add_metric_column(self, metric: str, representation: str | None = None) -> None:
        """Show another metric.

        Args:
            metric: Its name.
            representation: Its title.

        Raises:
            ValueError: it is shown already.
        """
        self._columns.metrics = _with_column(self._columns.metrics, metric, representation)

    def add_parameter_column(self, parameter: str, representation: str | None = None) -> None:
        """Show another parameter.

        Args:
            parameter: Its name.
            representation: Its title.

        Raises:
            ValueError: it is shown already.
        """
        self._columns.parameters = _with_column(self._columns.parameters, parameter, representation)

    def _text(self, trials: list[Trial], done: bool, *sys_info: str) -> str:
        lines = self._head(trials, *sys_info)
        if trials and (done or self._print_intermediate_tables):
            lines += [
                _table.trial_table(trials, self._columns, self._order()),
                _table.error_table(trials, self._max_error_rows),
            ]
        return "\n".join(line for line in lines if line)

    def _head(self, trials: list[Trial], *sys_info: str) -> list[str]:
        total = f"/{self._total_samples}" if self._total_samples else ""
        return [
            "== Status ==",
            _table.clock_line(self._start_time, time.time()),
            *sys_info,
            f"Number of trials: {len(trials)}{total} ({_table.counts(trials)})",
            _table.best_line(trials, self._metric, self._mode),
        ]

    def _order(self) -> tuple[str, str] | None:
        return (self._metric, self._mode or "max") if self._sort_by_metric and self._metric else None


class CLIReporter(TuneReporterBase):
    """Prints a table.

    Example:
        >>> from skate import tune
        >>> reporter = tune.CLIReporter(metric_columns=["loss"], max_report_frequency=30)
    """

    def report(self, trials: list[Trial], done: bool, *sys_info: str) -> None:
        """Print it."""
        print(self._text(trials, done, *sys_info), end="\n\n", flush=True)  # noqa: T201 - what it is for


class JupyterNotebookReporter(TuneReporterBase):
    """Shows a table in a notebook, with the best value so far as a line, in place of what it showed before.

    Args:
        overwrite: Whether other output of the cell is cleared, too.
        metric_columns: Metrics to show; titles by name, or names. Default: some are found.
        parameter_columns: Parameters to show; default: those that are chosen.
        total_samples: How many trials there will be.
        max_progress_rows: How many trials are shown.
        max_error_rows: How many failed trials are shown.
        max_column_length: How many characters a cell has.
        max_report_frequency: Seconds between two reports.
        infer_limit: How many metrics are found.
        print_intermediate_tables: Whether tables are shown before the end; default: yes.
        metric: The metric by which trials are compared.
        mode: "min" or "max".
        sort_by_metric: Whether the best trials come first.
    """

    def __init__(
        self,
        *,
        overwrite: bool = True,
        metric_columns: list[str] | dict[str, str] | None = None,
        parameter_columns: list[str] | dict[str, str] | None = None,
        total_samples: int | None = None,
        max_progress_rows: int = 20,
        max_error_rows: int = 20,
        max_column_length: int = 20,
        max_report_frequency: int = 5,
        infer_limit: int = 3,
        print_intermediate_tables: bool | None = None,
        metric: str | None = None,
        mode: str | None = None,
        sort_by_metric: bool = False,
    ) -> None:
        super().__init__(
            metric_columns=metric_columns,
            parameter_columns=parameter_columns,
            total_samples=total_samples,
            max_progress_rows=max_progress_rows,
            max_error_rows=max_error_rows,
            max_column_length=max_column_length,
            max_report_frequency=max_report_frequency,
            infer_limit=infer_limit,
            print_intermediate_tables=print_intermediate_tables,
            metric=metric,
            mode=mode,
            sort_by_metric=sort_by_metric,
        )
        self._overwrite = overwrite
        self._handle: Any = None

    def report(self, trials: list[Trial], done: bool, *sys_info: str) -> None:
        """Show it."""
        shown = trials if done or self._print_intermediate_tables else []
        lines = [*self._head(trials, *sys_info), _table.error_table(trials, self._max_error_rows)]
        self.display(
            _notebook.render_page(shown, self._columns, lines, self._metric, self._mode, self._order())
        )

    def display(self, string: str) -> None:
        """Show HTML in the cell.

        Args:
            string: The HTML.
        """
        from IPython.display import HTML, clear_output, display

        if self._overwrite:
            clear_output(wait=True)
            self._handle = None
        if self._handle is None:
            self._handle = display(HTML(string), display_id=True)
        else:
            self._handle.update(HTML(string))


def _with_column(
    columns: Mapping[str, str] | Sequence[str] | None, name: str, title: str | None
) -> dict[str, str]:
    if columns and not isinstance(columns, Mapping) and title is not None and title != name:
        raise ValueError(
            "`representation` cannot differ from `metric` if this reporter was initialized with a list of metric columns."
        )
    known = dict(columns) if isinstance(columns, Mapping) else {each: each for each in columns or ()}
    if name in known:
        raise ValueError(f"Column {name} already exists.")
    return {**known, name: title or name}
