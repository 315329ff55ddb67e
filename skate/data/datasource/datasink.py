"""The contract of what can be written to: `Datasink`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skate.data.block import Block

WriteReturnType = TypeVar("WriteReturnType")


@dataclass
class TaskContext:
    """What a write knows of the task it is in.

    Attributes:
        task_idx: Which of the writes it is.
        op_name: The operator's name.
        kwargs: Further values, such as `write_uuid`, the same for all tasks of one write.
    """

    task_idx: int
    op_name: str = "Write"
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class WriteResult(Generic[WriteReturnType]):
    """What was written.

    Attributes:
        num_rows: Rows.
        size_bytes: Their size in memory.
        write_returns: What each `write` returned.
    """

    num_rows: int
    size_bytes: int
    write_returns: list[WriteReturnType]

    @classmethod
    def combine(cls, *wrs: WriteResult[WriteReturnType]) -> WriteResult[WriteReturnType]:
        """All of several."""
        return WriteResult(
            sum(wr.num_rows for wr in wrs),
            sum(wr.size_bytes for wr in wrs),
            [value for wr in wrs for value in wr.write_returns],
        )


class Datasink(Generic[WriteReturnType]):
    """Base of what can be written to. `write` runs in tasks, the others in the process that writes the dataset.

    Example:
        >>> import skate.data
        >>> class Count(skate.data.Datasink):
        ...     def write(self, blocks, ctx):
        ...         return sum(block.num_rows for block in blocks)
        ...     def on_write_complete(self, write_result):
        ...         self.total = sum(write_result.write_returns)
        >>> sink = Count()
        >>> skate.data.range(5).write_datasink(sink)
        >>> sink.total
        5
    """

    def on_write_start(self, schema: Any = None) -> None:
        """Called before anything is written.

        Args:
            schema: The columns, where they are known.
        """

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> WriteReturnType:
        """Write blocks.

        Args:
            blocks: The blocks of one task.
            ctx: Which task it is.

        Returns:
            Anything; `on_write_complete` gets what each call returned.
        """
        raise NotImplementedError

    def on_write_complete(self, write_result: WriteResult[WriteReturnType]) -> None:
        """Called after all writes have succeeded."""

    def on_write_failed(self, error: Exception) -> None:
        """Called when a write has failed."""

    def get_name(self) -> str:
        """What users see it called: the class's name without "Datasink"."""
        name = type(self).__name__.removeprefix("_")
        return name[: -len("Datasink")] if name.endswith("Datasink") else name

    @property
    def supports_distributed_writes(self) -> bool:
        """Whether other machines could write to it too."""
        return True

    @property
    def min_rows_per_write(self) -> int | None:
        """The least number of rows that a call of `write` should get; None for any."""
        return None

    @property
    def min_bytes_per_write(self) -> int | None:
        """The least number of bytes that a call of `write` should get; None for any."""
        return None


class DummyOutputDatasink(Datasink[None]):
    """Writes nothing, and remembers how much."""

    def __init__(self) -> None:
        self.num_ok = self.num_failed = self.rows_written = 0
        self.enabled = True

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> None:
        """Take the blocks.

        Raises:
            ValueError: it is not enabled.
        """
        for _ in blocks:
            if not self.enabled:
                raise ValueError("disabled")

    def on_write_complete(self, write_result: WriteResult[None]) -> None:
        """Count a success."""
        self.num_ok += 1
        self.rows_written += write_result.num_rows

    def on_write_failed(self, error: Exception) -> None:
        """Count a failure."""
        self.num_failed += 1


__all__ = ["Datasink", "DummyOutputDatasink", "TaskContext", "WriteResult", "WriteReturnType"]
