"""A search as a piece of HTML: counts, a table of trials, and the best value so far as a line."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skate.air.result import look_up
from skate.tune.reporting import table as _table

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "best_so_far",
    "draw_line",
    "render_page",
]

_WIDTH, _HEIGHT, _MARGIN = 420, 160, 28
_COLORS = {"RUNNING": "#2563eb", "TERMINATED": "#15803d", "ERROR": "#b91c1c", "PAUSED": "#a16207"}


def best_so_far(trials: Sequence[Trial], metric: str, mode: str | None) -> list[tuple[int, float]]:
    """How the best value grew, trial by trial.

    Args:
        trials: The trials, in the order in which they were made.
        metric: The metric.
        mode: "min" or "max".

    Returns:
        For each trial that has reported the metric its number, from 1, and the best value up to it.
    """
    better = min if mode == "min" else max
    points: list[tuple[int, float]] = []
    best: float | None = None
    for number, trial in enumerate(trials, start=1):
        value = _table.as_number(look_up(trial.last_result, metric))
        if value is None or not math.isfinite(value):
            continue
        best = value if best is None else better(best, value)
        points.append((number, best))
    return points


def draw_line(points: Sequence[tuple[int, float]], title: str) -> str:
    """A line of steps as SVG; empty if there are less than two points.

    Args:
        points: Numbers of trials and values.
        title: What the values are.
    """
    if len(points) < 2:
        return ""
    first, last = points[0][0], points[-1][0]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0

    def place(number: int, value: float) -> tuple[float, float]:
        x = _MARGIN + (number - first) / ((last - first) or 1) * (_WIDTH - 2 * _MARGIN)
        y = _HEIGHT - _MARGIN - (value - low) / spread * (_HEIGHT - 2 * _MARGIN)
        return round(x, 1), round(y, 1)

    corners: list[tuple[float, float]] = []
    for number, value in points:
        x, y = place(number, value)
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    line = " ".join(f"{x},{y}" for x, y in corners)
    left, right, bottom = _MARGIN, _WIDTH - _MARGIN, _HEIGHT - _MARGIN
    labels = [
        (left, 14, "start", f"best {html.escape(title)} so far: {values[-1]:g}"),
        (left, bottom + 16, "start", f"trial {first}"),
        (right, bottom + 16, "end", f"{last}"),
        (right, place(last, high)[1] - 4, "end", f"{high:g}"),
        (right, place(last, low)[1] + 12, "end", f"{low:g}"),
    ]
    texts = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11" fill="currentColor">{text}</text>'
        for x, y, anchor, text in labels
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
        f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="currentColor" stroke-opacity="0.3"/>'
        f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="2"/>{texts}</svg>'
    )


def render_page(
    trials: Sequence[Trial],
    columns: _table.Columns,
    lines: Sequence[str],
    metric: str | None = None,
    mode: str | None = None,
    by: tuple[str, str] | None = None,
) -> str:
    """A search as HTML.

    Args:
        trials: The trials, in the order in which they were made.
        columns: Which columns the table has.
        lines: What is said above it.
        metric: The metric by which they are compared.
        mode: "min" or "max".
        by: A metric and a mode to sort by.

    Returns:
        The HTML, without a page around it.
    """
    said = "<br>".join(html.escape(line) for line in lines if line)
    plot = draw_line(best_so_far(trials, metric, mode), metric) if metric else ""
    header, rows, hidden = _table.trial_rows(trials, columns, by)
    head = "".join(f"<th style='text-align:left'>{html.escape(cell)}</th>" for cell in header)
    body = "".join(_row(cells) for cells in rows)
    more = f"<div>… {hidden} more trials not shown</div>" if hidden else ""
    return f"<div>{said}</div>{plot}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _row(cells: Sequence[str]) -> str:
    color = _COLORS.get(cells[1], "inherit")
    styled = [
        f"<td style='text-align:left{f';color:{color}' if number == 1 else ''}'>{html.escape(cell)}</td>"
        for number, cell in enumerate(cells)
    ]
    return f"<tr>{''.join(styled)}</tr>"
