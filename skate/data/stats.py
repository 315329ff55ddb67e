"""What a run did, stage by stage."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skate.data.summary import DatasetSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skate.data.execution.executor import Execution
    from skate.data.execution.stage_stats import StageStats

_REMEMBERED = 1000


@dataclass
class OperatorStatsSummary:
    """What a stage did.

    Attributes:
        operator_name: The operators in it.
        tasks: How many tasks ran; 0 if all was done in the calling process.
        time_total_s: Seconds from its beginning to its last block.
        block_execution_summary_str: Its first line in `stats()`.
        wall_time: Seconds that blocks took, by `min`, `max`, `mean` and `sum`.
        cpu_time: The same in seconds of CPU time.
        output_num_rows: Rows of blocks.
        output_size_bytes: Sizes of blocks.
        task_rows: Rows of tasks.
        total_output_num_rows: Rows of all blocks.
    """

    operator_name: str
    tasks: int
    time_total_s: float
    block_execution_summary_str: str
    wall_time: dict[str, float]
    cpu_time: dict[str, float]
    output_num_rows: dict[str, float]
    output_size_bytes: dict[str, float]
    task_rows: dict[str, float]
    total_output_num_rows: int

    def __str__(self) -> str:
        lines = [self.block_execution_summary_str]
        if self.wall_time:
            lines += [
                f"* Remote wall time: {_times(self.wall_time)}",
                f"* Remote cpu time: {_times(self.cpu_time)}",
                f"* Output num rows per block: {_counts(self.output_num_rows)}",
                f"* Output size bytes per block: {_counts(self.output_size_bytes)}",
                f"* Output rows per task: {_counts(self.task_rows, total=False)}, {self.task_rows['count']} tasks used",
                "* Operator throughput:",
                f"\t* Total output num rows: {self.total_output_num_rows} rows",
            ]
            lines += _rates(self.total_output_num_rows, self.time_total_s, self.wall_time["sum"])
        return "\n".join(lines) + "\n"


@dataclass
class DatasetStatsSummary:
    """What a run did.

    Attributes:
        operators_stats: Its stages, the first one first.
        dataset_name: The dataset's name.
    """

    operators_stats: list[OperatorStatsSummary] = field(default_factory=list)
    dataset_name: str | None = None

    def get_total_wall_time(self) -> float:
        """Seconds of the longest stage: they work at the same time."""
        return max((stage.time_total_s for stage in self.operators_stats), default=0.0)

    def get_total_cpu_time(self) -> float:
        """Seconds of CPU time of all stages."""
        return sum(stage.cpu_time.get("sum", 0.0) for stage in self.operators_stats)

    def to_string(self) -> str:
        """As text."""
        if not self.operators_stats:
            return ""
        parts = [f"Operator {number} {stage}" for number, stage in enumerate(self.operators_stats, 1)]
        rows = self.operators_stats[-1].total_output_num_rows
        rates = _rates(rows, self.get_total_wall_time(), None)
        return "\n".join([*parts, "Dataset throughput:", *rates]) + "\n"

    __str__ = to_string


def _rates(rows: int, seconds: float, alone: float | None) -> list[str]:
    lines = [f"\t* Ray Data throughput: {rows / seconds if seconds > 0 else 0} rows/s"]
    if alone is not None:
        lines.append(f"\t* Estimated single task throughput: {rows / alone if alone > 0 else 0} rows/s")
    return lines


def _spread(values: Sequence[float]) -> dict[str, float]:
    total = sum(values)
    return {
        "min": min(values),
        "max": max(values),
        "mean": total / len(values),
        "sum": total,
        "count": len(values),
    }


def _seconds(value: float) -> str:
    """A span of time, in the unit that suits it: `12.5ms`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= size:
            return f"{round(value / size, 2)}{unit}"
    return f"{round(value * 1e6, 2)}us"


def _times(found: dict[str, float]) -> str:
    return (
        f"{_seconds(found['min'])} min, {_seconds(found['max'])} max, {_seconds(found['mean'])} mean, "
        f"{_seconds(found['sum'])} total"
    )


def _counts(found: dict[str, float], total: bool = True) -> str:
    text = f"{int(found['min'])} min, {int(found['max'])} max, {int(found['mean'])} mean"
    return f"{text}, {int(found['sum'])} total" if total else text


def summary(run: Execution | None, name: str | None = None) -> DatasetStatsSummary:
    """What a run did; nothing if there was none."""
    if run is None:
        return DatasetStatsSummary([], name)
    stages = [_summarise(stage) for stage in run.stats if stage.blocks or stage.tasks]
    return DatasetStatsSummary(list(reversed(stages)), name)


def _summarise(stage: StageStats) -> OperatorStatsSummary:
    where = f"{stage.tasks} tasks executed" if stage.tasks else "executed in this process"
    seconds = max(0.0, stage.ended - stage.started)
    first = f"{stage.name}: {where}, {len(stage.blocks)} blocks produced in {seconds:.2f}s"
    rows = sum(block.rows for block in stage.blocks)
    if not stage.blocks:
        return OperatorStatsSummary(stage.name, stage.tasks, seconds, first, {}, {}, {}, {}, {}, 0)
    tasks: dict[int, int] = {}
    for block in stage.blocks:
        tasks[block.task] = tasks.get(block.task, 0) + block.rows
    return OperatorStatsSummary(
        stage.name,
        stage.tasks,
        seconds,
        first,
        _spread([block.wall_s for block in stage.blocks]),
        _spread([block.cpu_s for block in stage.blocks]),
        _spread([block.rows for block in stage.blocks]),
        _spread([block.size_bytes for block in stage.blocks]),
        _spread(list(tasks.values())),
        rows,
    )


def stats_text(run: Execution | None) -> str:
    """What a run did, as text; empty if there was none."""
    return summary(run).to_string()


_lock = threading.Lock()
_summaries: deque[DatasetStatsSummary] = deque(maxlen=_REMEMBERED)


def remember(found: DatasetStatsSummary) -> None:
    """Keep a summary for `list_stats_summaries`."""
    with _lock:
        _summaries.append(found)


def list_stats_summaries() -> list[Any]:
    """The statistics of runs of this process that have ended, the last 1,000 of them, the first one first.

    They are kept where `DataContext.enable_stats_summary_collection` says so.
    """
    with _lock:
        return list(_summaries)


__all__ = [
    "DatasetSummary",
    "DatasetStatsSummary",
    "OperatorStatsSummary",
    "list_stats_summaries",
    "remember",
    "stats_text",
    "summary",
]
