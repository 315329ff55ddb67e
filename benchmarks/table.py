"""Prints results as a table for people and as JSON for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.rows import OURS, Failure, Judgement, Outcome, Row, format_value, judge, times_better
from benchmarks.runner import PLAIN, RowResult
from benchmarks.stats import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["as_json", "failed", "render"]


def failed(results: Sequence[RowResult]) -> bool:
    """Tell whether a bar is missed or ours could not do some work."""
    return any(
        isinstance(result.outcomes.get(OURS), Failure)
        or any(judgement.verdict == "FAIL" for judgement in judgements)
        for result, judgements in zip(results, _judged(results), strict=True)
    )


def _judged(results: Sequence[RowResult]) -> list[list[Judgement]]:
    """The judgements of each row, which may look at other rows."""
    others = {result.row.name: result.outcomes for result in results}
    return [judge(result.row, result.outcomes, others) for result in results]


def render(results: Sequence[RowResult]) -> str:
    """Return the table: a line a row, a line more for each further bar, and below it every error in full.

    A cell is the median and the spread (half the interquartile range of all samples); a peer's cell adds how
    many times better ours is. ``plain`` is plain Python or the row's reference. ``--list`` says what each row
    measures.
    """
    errors: list[str] = []
    names = [
        OURS,
        *dict.fromkeys(name for one in results for name in one.outcomes if name not in (OURS, PLAIN)),
    ]
    lines = [["row", *names, PLAIN, "bar", "reached", "verdict"]]
    for result, judgements in zip(results, _judged(results), strict=True):
        cells = [_cell(result, name, errors) for name in names]
        bars = [[one.bar, one.reached, one.verdict] for one in judgements]
        line = [result.row.name, *cells, _plain_cell(result, errors)]
        lines.append([*line, *(bars[0] if bars else ["", "", ""])])
        lines.extend([*[""] * len(line), *further] for further in bars[1:])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    printed = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    notes = [f"[{number}] {error}" for number, error in enumerate(errors, 1)]
    printed.insert(1, "-" * max(map(len, printed)))
    return "\n".join([*printed, "", _summary(results), *notes])


def _cell(result: RowResult, name: str, errors: list[str]) -> str:
    outcome = result.outcomes.get(name)
    if outcome is None:
        return ""
    if isinstance(outcome, Failure):
        return _error_cell(result.row, name, outcome, errors)
    text = format_value(result.row.unit, outcome.median)
    if outcome.samples > 1:
        text += f" ±{outcome.spread:.0%}"
    ours = result.outcomes.get(OURS)
    if name != OURS and isinstance(ours, Figure):
        text += f" ({times_better(result.row.unit, ours.median, outcome.median):.3g}x)"
    return text


def _plain_cell(result: RowResult, errors: list[str]) -> str:
    if PLAIN in result.outcomes:
        return _cell(result, PLAIN, errors)
    for outcome in result.outcomes.values():
        if isinstance(outcome, Figure) and outcome.reference is not None:
            return f"{format_value(result.row.unit, outcome.reference)} {result.row.reference}"
    return ""


def _error_cell(row: Row, name: str, failure: Failure, errors: list[str]) -> str:
    text = f"{row.benchmark} on {name}: {failure.error}"
    if text not in errors:
        errors.append(text)
    return f"error [{errors.index(text) + 1}]"


def _summary(results: Sequence[RowResult]) -> str:
    verdicts = [judgement.verdict for judgements in _judged(results) for judgement in judgements]
    counts = {verdict: verdicts.count(verdict) for verdict in ("pass", "FAIL", "not run")}
    return f"bars: {counts['pass']} passed, {counts['FAIL']} failed, {counts['not run']} without their peer"


def as_json(results: Sequence[RowResult]) -> list[dict[str, Any]]:
    """Return the results as plain lists and dicts."""
    return [
        {
            "name": one.row.name,
            "title": one.row.title,
            "unit": one.row.unit,
            "reference": one.row.reference,
            "systems": {name: _outcome_as_json(outcome) for name, outcome in one.outcomes.items()},
            "bars": [
                {"bar": judgement.bar, "reached": judgement.reached, "verdict": judgement.verdict}
                for judgement in judgements
            ],
        }
        for one, judgements in zip(results, _judged(results), strict=True)
    ]


def _outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        return {"error": outcome.error}
    return {
        "median": outcome.median,
        "low": outcome.low,
        "high": outcome.high,
        "rounds": list(outcome.rounds),
        "reference": outcome.reference,
        "times_reference": outcome.times_reference,
        "samples": outcome.samples,
    }
