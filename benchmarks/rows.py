"""What a row of a benchmark table is, what a bar is, and how a bar is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks.stats import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "OURS",
    "Against",
    "AtMost",
    "AtMostMore",
    "Bar",
    "Failure",
    "Judgement",
    "LikeFastest",
    "Outcome",
    "Row",
    "Unit",
    "Within",
    "WithinBest",
    "format_value",
    "judge",
    "times_better",
]

OURS = "skate"

Unit = Literal["s", "B", "B/s"]
Verdict = Literal["pass", "FAIL", "not run"]


@dataclass(frozen=True, slots=True)
class Against:
    """Ours must be at least ``times`` as good as the peer's figure of the same run."""

    peer: str
    times: float


@dataclass(frozen=True, slots=True)
class AtMost:
    """Ours must be at most ``value``, in the row's unit."""

    value: float


@dataclass(frozen=True, slots=True)
class Within:
    """Ours must be within ``times`` the row's reference, measured in the same process.

    For a cost it is the most that is allowed (2.5: at most 2.5 references), for a rate the least (0.8: at
    least 0.8 of the reference).
    """

    times: float


@dataclass(frozen=True, slots=True)
class AtMostMore:
    """Ours may cost at most ``value``, in the row's unit, more than the row's reference of the same process."""

    value: float


@dataclass(frozen=True, slots=True)
class WithinBest:
    """Ours may cost at most ``times`` what the best of these peers costs, of those that ran and could do the work."""

    times: float
    peers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LikeFastest:
    """Ours may cost at most ``times`` what the peer costs that is the fastest in another row of the run."""

    row: str
    times: float


Bar = Against | AtMost | AtMostMore | Within | WithinBest | LikeFastest


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: ``area.what``, the name that ``--only`` takes.
        title: What is measured, in words.
        benchmark: ``area.function``: the code that measures it. Rows may share one benchmark.
        metric: Which of the benchmark's metrics the row shows.
        unit: ``"s"`` and ``"B"`` are costs (less is better), ``"B/s"`` a rate (more is better).
        bars: What ours must reach; none if the row is there to inform.
        reference: What the benchmark's reference is, in two or three words; empty if it has none.
        ours_only: The work is about our own promises, and peers are not asked.

    """

    name: str
    title: str
    benchmark: str
    metric: str
    unit: Unit
    bars: tuple[Bar, ...] = ()
    reference: str = ""
    ours_only: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A system that could not do the work, and why."""

    error: str


Outcome = Figure | Failure


@dataclass(frozen=True, slots=True)
class Judgement:
    """A bar, the figure reached, and whether that clears it.

    Attributes:
        bar: The bar in words, for instance ``">= 12x ray"``.
        reached: What was reached in the bar's own terms, for instance ``"31x"``; empty if unknown.
        verdict: ``"not run"`` only if the peer was not asked for; a figure that is missing for any other
            reason is a ``"FAIL"``.

    """

    bar: str
    reached: str
    verdict: Verdict


def times_better(unit: Unit, ours: float, theirs: float) -> float:
    """Return how many times better ours is than theirs: above 1 is better, whatever the unit.

    Example:
        >>> times_better("s", 0.5, 2.0)
        4.0
        >>> times_better("B/s", 2.0, 1.0)
        2.0

    """
    better, worse = (ours, theirs) if unit == "B/s" else (theirs, ours)
    return better / worse if worse else float("inf")


def judge(
    row: Row, outcomes: Mapping[str, Outcome], others: Mapping[str, Mapping[str, Outcome]] | None = None
) -> list[Judgement]:
    """Judge each bar of a row by the outcomes of the systems that ran.

    Args:
        row: The row.
        outcomes: Its outcomes.
        others: The outcomes of all rows of the run by name, for bars that look at another row.

    """
    return [_judge_one(row, bar, outcomes, others or {}) for bar in row.bars]


def _judge_one(
    row: Row, bar: Bar, outcomes: Mapping[str, Outcome], others: Mapping[str, Mapping[str, Outcome]]
) -> Judgement:
    ours = outcomes.get(OURS)
    if isinstance(bar, WithinBest):
        text = f"<= {bar.times:g}x best of {', '.join(bar.peers)}"
        found = {peer: outcomes[peer] for peer in bar.peers if peer in outcomes}
        return _judge_cost(text, bar.times, ours, found, _best(found))
    if isinstance(bar, LikeFastest):
        found = {peer: outcome for peer, outcome in outcomes.items() if peer != OURS}
        timed = {peer: others.get(bar.row, {}).get(peer) for peer in found}
        return _judge_cost(f"<= {bar.times:g}x the fastest peer", bar.times, ours, found, _best(timed))
    if isinstance(bar, Against):
        return _judge_against(row, bar, ours, outcomes)
    rate = row.unit == "B/s"
    if isinstance(bar, AtMost):
        text = f"<= {format_value(row.unit, bar.value)}"
        if not isinstance(ours, Figure):
            return Judgement(text, "", "FAIL")
        return Judgement(text, format_value(row.unit, ours.median), _verdict(ours.median <= bar.value))
    if isinstance(bar, AtMostMore):
        text = f"<= {row.reference} + {format_value(row.unit, bar.value)}"
        if not isinstance(ours, Figure) or ours.reference is None:
            return Judgement(text, "", "FAIL")
        more = max(0.0, ours.median - ours.reference)
        return Judgement(text, f"+{format_value(row.unit, more)}", _verdict(more <= bar.value))
    text = f"{'>=' if rate else '<='} {bar.times:g}x {row.reference}"
    if not isinstance(ours, Figure) or ours.times_reference is None:
        return Judgement(text, "", "FAIL")
    reached = ours.times_reference
    clears = reached >= bar.times if rate else reached <= bar.times
    return Judgement(text, f"{reached:.2f}x", _verdict(clears))


def _best(outcomes: Mapping[str, Outcome | None]) -> str | None:
    """The system that costs least, of those that have a figure."""
    figures = {name: one.median for name, one in outcomes.items() if isinstance(one, Figure)}
    return min(figures, key=figures.__getitem__) if figures else None


def _judge_cost(
    text: str, times: float, ours: Outcome | None, peers: Mapping[str, Outcome], chosen: str | None
) -> Judgement:
    if not peers:
        return Judgement(text, "", "not run")
    theirs = peers[chosen] if chosen is not None else None
    if not isinstance(ours, Figure) or not isinstance(theirs, Figure):
        return Judgement(text, "", "FAIL")
    reached = ours.median / theirs.median if theirs.median else float("inf")
    return Judgement(text, f"{reached:.2f}x {chosen}", _verdict(reached <= times))


def _judge_against(
    row: Row, bar: Against, ours: Outcome | None, outcomes: Mapping[str, Outcome]
) -> Judgement:
    text = f">= {bar.times:g}x {bar.peer}"
    if bar.peer not in outcomes:
        return Judgement(text, "", "not run")
    theirs = outcomes[bar.peer]
    if not isinstance(ours, Figure) or not isinstance(theirs, Figure):
        return Judgement(text, "", "FAIL")
    reached = times_better(row.unit, ours.median, theirs.median)
    return Judgement(text, f"{reached:.3g}x", _verdict(reached >= bar.times))


def _verdict(clears: bool) -> Verdict:
    return "pass" if clears else "FAIL"


def format_value(unit: Unit, value: float) -> str:
    """Return a value with three digits and a unit a person reads at once.

    Example:
        >>> format_value("s", 0.0000523), format_value("B", 88_100_000), format_value("B/s", 1.74e9)
        ('52.3 µs', '88.1 MB', '1.74 GB/s')

    """
    if unit == "s":
        steps = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]
    else:
        tail = "/s" if unit == "B/s" else ""
        steps = [(1e9, f"GB{tail}"), (1e6, f"MB{tail}"), (1e3, f"kB{tail}"), (1.0, f"B{tail}")]
    factor, name = next((step for step in steps if value >= step[0]), steps[-1])
    return f"{_three_digits(value / factor)} {name}"


def _three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
