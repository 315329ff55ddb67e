"""Runs measurements: interleaved rounds, each measurement in a fresh process of the system's interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.child import function_for
from benchmarks.peers import ROOT
from benchmarks.processes import end_leftovers
from benchmarks.rows import OURS, Failure, Outcome, Row, format_value
from benchmarks.session import API_SYSTEMS, TOKEN
from benchmarks.stats import Round, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["PLAIN", "Plan", "RowResult", "run"]

PLAIN = "plain"
"""The system that is no system: plain Python."""

_GRACE = 1.0  # seconds in which a system's processes must be gone once its driver has exited


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    Attributes:
        suite: Folder of the benchmarks.
        rows: Rows to fill.
        systems: Each system's interpreter, or why it has none; ours first.
        rounds: How often each measurement is repeated in a new process.
        quick: Do less work in each.
        timeout: Seconds after which a measurement is ended and counts as failed.

    """

    suite: str
    rows: Sequence[Row]
    systems: Mapping[str, Path | Failure]
    rounds: int
    quick: bool
    timeout: float


@dataclass(slots=True)
class RowResult:
    """A row and what each system that does its work reached."""

    row: Row
    outcomes: dict[str, Outcome] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Done:
    metrics: dict[str, Round | Failure]
    seconds: float


def run(plan: Plan, tell: Callable[[str], None]) -> list[RowResult]:
    """Run the plan, one line of progress to ``tell`` a measurement, and return a result for each row.

    Within a benchmark the systems take turns, round by round, so that the mood of the machine is shared.
    """
    by_benchmark: dict[str, list[Row]] = {}
    for row in plan.rows:
        by_benchmark.setdefault(row.benchmark, []).append(row)
    results = {row.name: RowResult(row) for row in plan.rows}
    for number, (benchmark, rows) in enumerate(by_benchmark.items(), 1):
        for name, outcomes in _run_benchmark(
            plan, benchmark, rows, f"[{number}/{len(by_benchmark)}]", tell
        ).items():
            results[name].outcomes.update(outcomes)
    return list(results.values())


def _run_benchmark(
    plan: Plan, benchmark: str, rows: Sequence[Row], place: str, tell: Callable[[str], None]
) -> dict[str, dict[str, Outcome]]:
    rounds: dict[str, list[_Done]] = {}
    failures: dict[str, Failure] = {}
    pythons: dict[str, Path] = {}
    for system, python in plan.systems.items():
        if not _takes_part(plan.suite, benchmark, system, rows):
            continue
        if isinstance(python, Failure):
            failures[system] = python
        else:
            pythons[system] = python
            rounds[system] = []
    for turn in range(plan.rounds):
        for system, python in pythons.items():
            if system in failures:
                continue
            try:
                done = _measure(plan, benchmark, system, python)
            except _MeasurementError as error:
                failures[system] = Failure(str(error))
                tell(f"{place} {benchmark} {system}: failed: {error}")
                continue
            rounds[system].append(done)
            tell(f"{place} {benchmark} round {turn + 1}/{plan.rounds} {system}: {_brief(rows, done)}")
    return {
        row.name: {
            # In the plan's order: it is the order of the columns.
            system: failures.get(system) or _outcome(row, rounds[system])
            for system in plan.systems
            if system in failures or system in rounds
        }
        for row in rows
    }


def _outcome(row: Row, rounds: Sequence[_Done]) -> Outcome:
    found = [done.metrics.get(row.metric, Failure(f"no metric {row.metric!r}")) for done in rounds]
    for one in found:
        if isinstance(one, Failure):
            return one
    return summarise([one for one in found if isinstance(one, Round)])


def _takes_part(suite: str, benchmark: str, system: str, rows: Sequence[Row]) -> bool:
    if system in API_SYSTEMS and system != OURS and all(row.ours_only for row in rows):
        return False
    return function_for(suite, benchmark, system) is not None


def _brief(rows: Sequence[Row], done: _Done) -> str:
    figures = []
    for row in rows:
        outcome = _outcome(row, [done])
        text = outcome.error if isinstance(outcome, Failure) else format_value(row.unit, outcome.median)
        figures.append(f"{row.metric} {text}")
    return f"{', '.join(figures)} ({done.seconds:.1f} s)"


class _MeasurementError(Exception):
    """A measurement that gave no figures, with the reason in one line."""


def _measure(plan: Plan, benchmark: str, system: str, python: Path) -> _Done:
    token = uuid.uuid4().hex
    environment = dict(os.environ)
    environment.update({TOKEN: token, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"})
    # An installed package is compiled; without this an editable one would be compiled anew by every process.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    effort = "quick" if plan.quick else "full"
    command = [str(python), "-m", "benchmarks.child", plan.suite, system, benchmark, effort]
    begin = time.monotonic()
    # Files and not pipes: a process left behind would hold a pipe open and the runner with it.
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        tempfile.TemporaryDirectory() as home,
    ):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, cwd=home
        )
        try:
            status: int | None = process.wait(timeout=plan.timeout)
        except subprocess.TimeoutExpired:
            status = None
            process.kill()
            process.wait()
        finally:
            leftovers = end_leftovers(token, _GRACE)
        seconds = time.monotonic() - begin
        out.seek(0)
        err.seek(0)
        lines = out.read().decode(errors="replace").splitlines()
        complaint = _last_words(err.read().decode(errors="replace"))
    if status is None:
        raise _MeasurementError(f"no result after {plan.timeout:g} s; last output: {complaint}")
    if status:
        raise _MeasurementError(f"exit status {status}: {complaint}")
    if leftovers and system == OURS:
        raise _MeasurementError(f"processes left {_GRACE:g} s after exit: {', '.join(leftovers)}")
    try:
        figures = json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        raise _MeasurementError(f"exit status 0 but no figures: {complaint}") from error
    metrics = {
        name: Failure(error) if error else Round(tuple(values), tuple(reference))
        for name, (values, reference, error) in figures.items()
    }
    return _Done(metrics, seconds)


def _last_words(text: str) -> str:
    """Return the last line that says something, as a traceback's does."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing was printed"


def progress_to_stderr(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
