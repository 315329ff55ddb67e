"""What a run did, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.data.execution.executor import Execution
    from skate.data.execution.stage import StageStats


@dataclass
class OperatorStatsSummary:
    """What a stage did.

    Attributes:
        operator_name: The operators in it.
        blocks: How many blocks it made.
        rows: How many rows they had.
        size_bytes: How large they were.
        seconds: From its first to its last block.
        tasks: How many tasks ran; 0 if all was done in the calling process.
    """

    operator_name: str
    blocks: int
    rows: int
    size_bytes: int
    seconds: float
    tasks: int


@dataclass
class DatasetStatsSummary:
    """What a run did.

    Attributes:
        operators_stats: Its stages, the first one first.
    """

    operators_stats: list[OperatorStatsSummary] = field(default_factory=list)

    def get_total_wall_time(self) -> float:
        """Seconds of the longest stage: they work at the same time."""
        return max((stage.seconds for stage in self.operators_stats), default=0.0)

    def to_string(self) -> str:
        """As text."""
        return "\n".join(_lines(number, stage) for number, stage in enumerate(self.operators_stats, 1))


def summary(run: Execution | None) -> DatasetStatsSummary:
    """What a run did; nothing if there was none."""
    if run is None:
        return DatasetStatsSummary()
    stages = [_summarise(stage) for stage in run.stats if stage.blocks or stage.tasks]
    return DatasetStatsSummary(list(reversed(stages)))


def _summarise(stage: StageStats) -> OperatorStatsSummary:
    return OperatorStatsSummary(
        stage.name,
        len(stage.blocks),
        sum(rows for rows, _, _ in stage.blocks),
        sum(size for _, size, _ in stage.blocks),
        max(0.0, stage.ended - stage.started),
        stage.tasks,
    )


def _lines(number: int, stage: OperatorStatsSummary) -> str:
    where = f"{stage.tasks} tasks executed" if stage.tasks else "executed in this process"
    rate = f"{stage.rows / stage.seconds:,.0f} rows/s" if stage.seconds > 0 else "at once"
    return (
        f"Operator {number} {stage.operator_name}: {where}, {stage.blocks} blocks produced in {stage.seconds:.2f}s\n"
        f"* Output num rows: {stage.rows} total\n"
        f"* Output size bytes: {stage.size_bytes} total\n"
        f"* Operator throughput: {rate}\n"
    )


def stats_text(run: Execution | None) -> str:
    """What a run did, as text; empty if there was none."""
    return summary(run).to_string()


def list_stats_summaries() -> list[Any]:
    """Accepted for Ray's programs: statistics are kept with their datasets, and not in a list of all."""
    return []


__all__ = ["DatasetStatsSummary", "OperatorStatsSummary", "list_stats_summaries", "stats_text", "summary"]
