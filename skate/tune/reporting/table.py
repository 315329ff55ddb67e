"""Trials as a table, and the lines around it."""

from __future__ import annotations

import datetime
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skate.air.result import look_up
from skate.tune import result as _keys

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "Columns",
    "ORDER",
    "USUAL_COLUMNS",
    "as_number",
    "best_line",
    "clock_line",
    "counts",
    "elapsed",
    "error_table",
    "is_notebook",
    "render",
    "trial_rows",
    "trial_table",
]

ORDER = ("RUNNING", "TERMINATED", "PAUSED", "PENDING", "ERROR")
USUAL_COLUMNS = {
    _keys.MEAN_ACCURACY: "acc",
    _keys.MEAN_LOSS: "loss",
    _keys.TRAINING_ITERATION: "iter",
    _keys.TIME_TOTAL_S: "total time (s)",
    _keys.TIMESTEPS_TOTAL: "ts",
    _keys.EPISODE_REWARD_MEAN: "reward",
}


@dataclass
class Columns:
    """Which columns a table has.

    Args:
        metrics: Titles of metrics by name; None: some are found.
        parameters: Titles of parameters by name; None: those that are chosen.
        most_rows: How many trials are shown.
        widest: How many characters a cell has.
        infer_limit: How many metrics are found.
    """

    metrics: Mapping[str, str] | Sequence[str] | None = None
    parameters: Mapping[str, str] | Sequence[str] | None = None
    most_rows: int = 20
    widest: int = 20
    infer_limit: int = 3
    extra: dict[str, str] = field(default_factory=dict)


def counts(trials: Sequence[Trial]) -> str:
    """How many trials do what: "2 RUNNING, 1 PENDING"."""
    found = Counter(trial.status for trial in trials)
    return ", ".join(f"{found[status]} {status}" for status in ORDER if found[status])


def trial_table(trials: Sequence[Trial], columns: Columns, by: tuple[str, str] | None = None) -> str:
    """A table of trials.

    Args:
        trials: The trials.
        columns: Which columns it has.
        by: A metric and a mode to sort by.

    Returns:
        The table, as lines.
    """
    header, rows, hidden = trial_rows(trials, columns, by)
    text = render(header, rows)
    return f"{text}\n... {hidden} more trials not shown ({counts(trials)})" if hidden else text


def trial_rows(
    trials: Sequence[Trial], columns: Columns, by: tuple[str, str] | None = None
) -> tuple[list[str], list[list[str]], int]:
    """The cells of a table of trials.

    Args:
        trials: The trials.
        columns: Which columns it has.
        by: A metric and a mode to sort by.

    Returns:
        The header, the rows, and how many trials are not shown.
    """
    shown = _choose(trials, columns.most_rows, by)
    parameters = _titles(columns.parameters, _parameters(trials))
    metrics = _titles(columns.metrics, _metrics(trials, columns.infer_limit))
    metrics.update(columns.extra)
    header = ["Trial name", "status", *parameters.values(), *metrics.values()]
    rows = []
    for trial in shown:
        cells = [str(trial), trial.status]
        config = {**trial.evaluated_params, **trial.config}
        cells += [_cell(look_up(config, name), columns.widest) for name in parameters]
        cells += [_cell(look_up(trial.last_result, name), columns.widest) for name in metrics]
        rows.append(cells)
    return header, rows, len(trials) - len(shown)


def error_table(trials: Sequence[Trial], most_rows: int = 20) -> str:
    """The trials that have failed, and the files that say why."""
    failed = [trial for trial in trials if trial.status == "ERROR"]
    if not failed:
        return ""
    rows = [[str(trial), str(trial.num_failures), trial.error_file or ""] for trial in failed[:most_rows]]
    table = render(["Trial name", "# failures", "error file"], rows)
    return f"Number of errored trials: {len(failed)}\n{table}"


def best_line(trials: Sequence[Trial], metric: str | None, mode: str | None) -> str:
    """The best trial so far, in a line; empty if there is none."""
    if not metric:
        return ""
    found = [
        (value, trial)
        for trial in trials
        if (value := as_number(look_up(trial.last_result, metric))) is not None
    ]
    if not found:
        return ""
    best = (min if mode == "min" else max)(found, key=lambda pair: pair[0])
    return f"Current best trial: {best[1].trial_id} with {metric}={best[0]:g} and params={best[1].config}"


def elapsed(seconds: float) -> str:
    """A time in hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours}hr" if hours else "", f"{minutes}min" if hours or minutes else "", f"{rest}s"]
    return " ".join(part for part in parts if part)


def clock_line(start: float, now: float) -> str:
    """The time, and for how long the search has run."""
    moment = datetime.datetime.fromtimestamp(now).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"Current time: {moment}. Total running time: {elapsed(now - start)}"


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells in columns."""
    widths = [max(len(row[number]) for row in [header, *rows]) for number in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    top = "  ".join(cell.ljust(width) for cell, width in zip(header, widths, strict=True))
    return "\n".join(line.rstrip() for line in [top, "-" * len(top), *lines])


def _choose(trials: Sequence[Trial], most: int, by: tuple[str, str] | None) -> list[Trial]:
    """Those that are shown: of each status some, the newest first; sorted if that is wanted."""
    if by is not None:
        sign = 1 if by[1] == "min" else -1

        def rank(trial: Trial) -> tuple[bool, float]:
            value = as_number(look_up(trial.last_result, by[0]))
            return (value is None, sign * (value or 0.0))

        return sorted(trials, key=rank)[:most]
    if len(trials) <= most:
        return sorted(trials, key=lambda trial: ORDER.index(trial.status))
    groups = {status: [trial for trial in trials if trial.status == status] for status in ORDER}
    shown: list[Trial] = []
    share = max(1, most // max(1, sum(1 for group in groups.values() if group)))
    for group in groups.values():
        shown += group[-share:]
    return shown[:most]


def _titles(given: Any, found: dict[str, str]) -> dict[str, str]:
    if given is None:
        return found
    return dict(given) if isinstance(given, Mapping) else {name: name for name in given}


def _parameters(trials: Sequence[Trial]) -> dict[str, str]:
    names: dict[str, str] = {}
    for trial in trials[-50:]:
        for name in trial.evaluated_params:
            names.setdefault(name, name)
    return names


def _metrics(trials: Sequence[Trial], limit: int) -> dict[str, str]:
    """Those that people look for, and a few of the trials' own."""
    recent = [trial for trial in trials[-50:] if trial.has_reported_at_least_once]
    titles = {
        name: title
        for name, title in USUAL_COLUMNS.items()
        if any(name in trial.last_result for trial in recent)
    }
    own: dict[str, str] = {}
    hidden = {*USUAL_COLUMNS, *_keys.AUTO_RESULT_KEYS, *_keys.DEBUG_METRICS, "done", "should_checkpoint"}
    for trial in recent:
        for name, value in trial.last_result.items():
            if name not in hidden and as_number(value) is not None and len(own) < limit:
                own[name] = name
    return {**titles, **own}


def as_number(value: Any) -> float | None:
    """A value as a number, or None if it is none; a bool is none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _cell(value: Any, widest: int) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value).replace("\n", " ")
    return text if len(text) <= widest else f"..{text[-widest + 2 :]}"


def is_notebook() -> bool:
    """Whether this runs in a notebook."""
    import sys

    if "IPython" not in sys.modules or os.environ.get("RAY_TUNE_DISABLE_NOTEBOOK"):
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
