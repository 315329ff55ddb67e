"""Blocks, the pieces that a dataset is made of, and what is known about them.

A block is an Arrow table. `BlockAccessor` is how programs written for Ray look into one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skate.data import convert, ordering
from skate.data.block_columns import BlockColumnAccessor
from skate.data.block_stats import (
    BlockExecStats,
    BlockMetadata,
    BlockMetadataWithSchema,
    BlockStats,
    CustomOpStats,
    TaskExecWorkerStats,
    to_stats,
)
from skate.data.convert import VALID_BATCH_FORMATS

if TYPE_CHECKING:
    from skate.data.ordering import SortKey

T = TypeVar("T")
U = TypeVar("U", covariant=True)
KeyType = TypeVar("KeyType")
AggType = TypeVar("AggType")

Block: TypeAlias = pa.Table
BlockColumn: TypeAlias = pa.ChunkedArray
DataBatch: TypeAlias = Any
BatchColumn: TypeAlias = Any
UserDefinedFunction = Callable[..., Any]
BlockPartition = list[tuple[Any, "BlockMetadata"]]
BlockPartitionMetadata = list["BlockMetadata"]


class BlockType(enum.Enum):
    """What a block is in memory."""

    ARROW = "arrow"
    PANDAS = "pandas"


class BatchFormat(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """What a batch function takes."""

    ARROW = "arrow"
    NUMPY = "numpy"
    PANDAS = "pandas"
    CUDF = "cudf"


class _CallableClassProtocol(Protocol):
    def __call__(self, arg: Any, /) -> Any: ...


CallableClass = type[_CallableClassProtocol]


class BlockAccessor:
    """Looks into a block, whatever it is in memory.

    Example:
        >>> import pyarrow as pa
        >>> from skate.data.block import BlockAccessor
        >>> BlockAccessor.for_block(pa.table({"x": [1, 2, 3]})).sum("x", ignore_nulls=True)
        6
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @staticmethod
    def for_block(block: Any) -> BlockAccessor:
        """An accessor to a block: an Arrow table or a DataFrame.

        Raises:
            TypeError: the value is neither.
        """
        if isinstance(block, pa.Table):
            return BlockAccessor(block)
        if isinstance(block, (pa.RecordBatch, bytes)) or convert.is_batch(block):
            if isinstance(block, bytes):
                return BlockAccessor(pa.ipc.open_stream(block).read_all())
            return BlockAccessor(convert.table_from_batch(block))
        raise TypeError(f"Not a block type: {block} ({type(block)}): give an Arrow table or a DataFrame.")

    @classmethod
    def batch_to_block(cls, batch: Any, block_type: BlockType | None = None) -> Block:
        """A block from a batch of any format."""
        return convert.table_from_batch(batch)

    @classmethod
    def batch_to_arrow_block(cls, batch: dict[str, Any]) -> Block:
        """A block from a dict of arrays."""
        return convert.table_from_columns(batch)

    @classmethod
    def batch_to_pandas_block(cls, batch: dict[str, Any]) -> Any:
        """A DataFrame from a dict of arrays."""
        return convert.table_to_pandas(convert.table_from_columns(batch))

    def num_rows(self) -> int:
        """How many rows there are."""
        return int(self._table.num_rows)

    def size_bytes(self) -> int:
        """Bytes in memory."""
        return int(self._table.nbytes)

    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._table.schema

    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self._table.column_names)

    def block_type(self) -> BlockType:
        """What the block is in memory."""
        return BlockType.ARROW

    def get_metadata(
        self,
        input_files: list[str] | None = None,
        block_exec_stats: BlockExecStats | None = None,
        task_exec_stats: Any = None,
    ) -> BlockMetadata:
        """What is worth to be known without reading the block again."""
        return BlockMetadata(
            self.num_rows(), self.size_bytes(), block_exec_stats, task_exec_stats, tuple(input_files or ())
        )

    def iter_rows(self, public_row_format: bool) -> Iterator[Any]:
        """The rows, as dicts."""
        return convert.iter_rows(self._table)

    def slice(self, start: int, end: int, copy: bool = False) -> Block:
        """Rows from `start` up to `end`.

        Args:
            start: The first row.
            end: The row after the last.
            copy: True copies them, so that the rest of the block can be freed.
        """
        part = self._table.slice(start, max(0, end - start))
        return pa.concat_tables([part]).take(list(range(part.num_rows))) if copy else part

    def take(self, indices: list[int]) -> Block:
        """The rows at these places."""
        return self._table.take(pa.array(indices, pa.int64()))

    def select(self, columns: list[str]) -> Block:
        """These columns.

        Raises:
            ValueError: the columns are not a list of names.
        """
        if not all(isinstance(name, str) for name in columns):
            raise ValueError(f"Columns must be a list of column name strings, but got: {columns}")
        return self._table.select(columns)

    def drop(self, columns: list[str]) -> Block:
        """All columns but these."""
        return self._table.drop_columns(columns)

    def rename_columns(self, columns_rename: dict[str, str]) -> Block:
        """The block with some columns under other names."""
        return self._table.rename_columns([columns_rename.get(n, n) for n in self._table.column_names])

    def upsert_column(self, column_name: str, column_data: Any) -> Block:
        """The block with a column more, or with other values in one that it has."""
        column = convert.column_from_values(column_data, column_name)
        if column_name not in self._table.column_names:
            return self._table.append_column(column_name, column)
        return self._table.set_column(self._table.column_names.index(column_name), column_name, column)

    def zip(self, other: Block) -> Block:
        """The block with the columns of another beside its own; names that both have get a number.

        Raises:
            ValueError: the other has more or fewer rows.
        """
        if other.num_rows != self._table.num_rows:
            raise ValueError(
                f"Cannot zip self (length {self._table.num_rows}) with block of length {other.num_rows}: both need the same "
                "number of rows."
            )
        joined = self._table
        for name in other.column_names:
            free, number = name, 1
            while free in joined.column_names:
                free, number = f"{name}_{number}", number + 1
            joined = joined.append_column(free, other.column(name))
        return joined

    def sample(self, n_samples: int, sort_key: SortKey) -> Block:
        """The columns of a sort key, of some rows at random."""
        return ordering.sample_keys(self._table, n_samples, sort_key)

    def sort(self, sort_key: SortKey) -> Block:
        """The rows in order; nulls last."""
        return ordering.sort_table(self._table, sort_key)

    def sort_and_partition(self, boundaries: list[Any], sort_key: SortKey) -> list[Block]:
        """The rows in order, cut at boundaries, of which each is a tuple of values of the sort key."""
        return ordering.partition_sorted(self.sort(sort_key), boundaries, sort_key)

    @staticmethod
    def merge_sorted_blocks(blocks: list[Block], sort_key: SortKey) -> tuple[Block, BlockMetadataWithSchema]:
        """The rows of all blocks in order, and what is known of them."""
        watch = BlockExecStats.builder()
        merged = ordering.sort_table(convert.concat(blocks), sort_key)
        return merged, BlockMetadataWithSchema.from_block(merged, watch.build())

    @staticmethod
    def builder() -> BlockBuilder:
        """What makes a block of rows and blocks, one by one."""
        return BlockBuilder()

    def random_shuffle(self, random_seed: int | None) -> Block:
        """The rows in random order."""
        order = np.random.default_rng(random_seed).permutation(self._table.num_rows)
        return self._table.take(pa.array(order))

    def to_arrow(self) -> pa.Table:
        """The block as an Arrow table."""
        return self._table

    def to_pandas(self) -> Any:
        """The block as a DataFrame."""
        return convert.table_to_pandas(self._table)

    def to_numpy(self, columns: str | list[str] | None = None) -> Any:
        """The block as a dict of arrays, or one column as an array.

        Args:
            columns: A name gives an array; a list, or None for all, gives a dict.

        Raises:
            ValueError: there is no such column.
        """
        wanted = self._table.column_names if columns is None else columns
        for name in [wanted] if isinstance(wanted, str) else wanted:
            if name not in self._table.column_names:
                raise ValueError(
                    f"Cannot find column {name}, available columns: {list(self._table.column_names)}"
                )
        if isinstance(wanted, str):
            return convert.column_to_numpy(self._table.column(wanted))
        return {name: convert.column_to_numpy(self._table.column(name)) for name in wanted}

    def to_block(self) -> Block:
        """The block."""
        return self._table

    def to_default(self) -> Any:
        """The block in the format that functions get by default."""
        return self.to_numpy()

    def to_batch_format(self, batch_format: str | None) -> Any:
        """The block as a batch.

        Raises:
            ValueError: there is no such format.
        """
        return convert.table_to_batch(self._table, convert.resolve_batch_format(batch_format))

    def count(self, on: str, ignore_nulls: bool = False) -> int:
        """Rows, or those that are not null."""
        column = self._table.column(on)
        return len(column) - column.null_count if ignore_nulls else len(column)

    def _reduce(self, function: Callable[..., Any], on: str, ignore_nulls: bool) -> Any:
        column = self._table.column(on)
        if len(column) == column.null_count:
            return None
        return function(column, skip_nulls=ignore_nulls).as_py()

    def sum(self, on: str, ignore_nulls: bool) -> Any:
        """The sum; None of nothing, or of nulls that are not ignored."""
        return self._reduce(pc.sum, on, ignore_nulls)

    def min(self, on: str, ignore_nulls: bool) -> Any:
        """The least value."""
        return self._reduce(pc.min, on, ignore_nulls)

    def max(self, on: str, ignore_nulls: bool) -> Any:
        """The greatest value."""
        return self._reduce(pc.max, on, ignore_nulls)

    def mean(self, on: str, ignore_nulls: bool) -> Any:
        """The mean."""
        return self._reduce(pc.mean, on, ignore_nulls)

    def sum_of_squared_diffs_from_mean(self, on: str, ignore_nulls: bool, mean: Any = None) -> Any:
        """The sum of squared distances from the mean, which may be given."""
        centre = self.mean(on, ignore_nulls) if mean is None else mean
        if centre is None:
            return None
        distance = pc.subtract(self._table.column(on), centre)
        return pc.sum(pc.multiply(distance, distance), skip_nulls=ignore_nulls).as_py()


class BlockBuilder:
    """Makes a block of rows and blocks, one by one."""

    def __init__(self) -> None:
        self._rows: list[Any] = []
        self._blocks: list[Block] = []

    def add(self, item: Any) -> None:
        """Add a row."""
        self._rows.append(item)

    def add_block(self, block: Any) -> None:
        """Add the rows of a block."""
        self._settle()
        self._blocks.append(convert.table_from_batch(block))

    def _settle(self) -> None:
        if self._rows:
            self._blocks.append(convert.table_from_rows(self._rows))
            self._rows = []

    def num_rows(self) -> int:
        """How many rows were added."""
        return len(self._rows) + sum(int(block.num_rows) for block in self._blocks)

    def get_estimated_memory_usage(self) -> int:
        """Bytes in memory of what was added."""
        self._settle()
        return int(sum(block.nbytes for block in self._blocks))

    def build(self) -> Block:
        """The block."""
        self._settle()
        return convert.concat(self._blocks)


__all__ = [
    "AggType",
    "BatchFormat",
    "Block",
    "BlockAccessor",
    "BlockBuilder",
    "BlockColumn",
    "BlockColumnAccessor",
    "BlockExecStats",
    "BlockMetadata",
    "BlockMetadataWithSchema",
    "BlockStats",
    "BlockType",
    "CallableClass",
    "CustomOpStats",
    "DataBatch",
    "KeyType",
    "T",
    "TaskExecWorkerStats",
    "U",
    "UserDefinedFunction",
    "VALID_BATCH_FORMATS",
    "to_stats",
]
