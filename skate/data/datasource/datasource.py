"""The contract of what can be read: `Datasource` makes `ReadTask`s, and each of those makes blocks."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.block import Block, BlockMetadata
from skate.data.context import DataContext
from skate.data.datasource.pushdown import Pushdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class ReadTask:
    """A part of what a datasource reads: calling it gives blocks.

    Args:
        read_fn: Called without arguments, gives an iterable of blocks.
        metadata: What is known of them beforehand.
        schema: Their columns, where known.
        per_task_row_limit: Rows after which it may stop.
    """

    def __init__(
        self,
        read_fn: Callable[[], Iterable[Block]],
        metadata: BlockMetadata,
        schema: pa.Schema | None = None,
        per_task_row_limit: int | None = None,
    ) -> None:
        self._read_fn = read_fn
        self._metadata = metadata
        self._schema = schema
        self._limit = per_task_row_limit

    @property
    def metadata(self) -> BlockMetadata:
        """What is known of the blocks beforehand."""
        return self._metadata

    @property
    def schema(self) -> pa.Schema | None:
        """The columns, where known."""
        return self._schema

    @property
    def read_fn(self) -> Callable[[], Iterable[Block]]:
        """What reads."""
        return self._read_fn

    @property
    def per_task_row_limit(self) -> int | None:
        """Rows after which it may stop."""
        return self._limit

    def __call__(self) -> Iterator[Block]:
        """Read the blocks.

        Raises:
            DeprecationWarning: `read_fn` gave a single block.
        """
        result = self._read_fn()
        if not hasattr(result, "__iter__") or isinstance(result, (pa.Table, dict)):
            raise DeprecationWarning(
                "Read function must return Iterable[Block], got a single block: return a list of one."
            )
        left = self._limit
        for block in result:
            table = convert.table_from_batch(block)
            if left is not None:
                table = table.slice(0, left)
                left -= table.num_rows
            yield table
            if left is not None and left <= 0:
                return


class Datasource(Pushdown):
    """Base of what can be read. A subclass gives its size and its read tasks, and says what it can leave out.

    Example:
        >>> import skate.data, pyarrow as pa
        >>> from skate.data.block import BlockMetadata
        >>> class Letters(skate.data.Datasource):
        ...     def estimate_inmemory_data_size(self):
        ...         return None
        ...     def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
        ...         meta = BlockMetadata(1, 1, None)
        ...         return [skate.data.ReadTask(lambda x=x: [pa.table({"letter": [x]})], meta) for x in "ab"]
        >>> skate.data.read_datasource(Letters()).take_all()
        [{'letter': 'a'}, {'letter': 'b'}]
    """

    def __init__(self) -> None:
        pass

    def get_name(self) -> str:
        """What users see it called: the class's name without "Datasource"."""
        name = type(self).__name__
        return name[: -len("Datasource")] if name.endswith("Datasource") else name

    def estimate_inmemory_data_size(self) -> int | None:
        """About how many bytes all blocks will have; None if that is unknown."""
        raise NotImplementedError

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """The parts to read.

        Args:
            parallelism: About how many are wanted.
            per_task_row_limit: Rows after which each may stop.
            data_context: Settings.
        """
        raise NotImplementedError

    @property
    def supports_distributed_reads(self) -> bool:
        """Whether other machines could read it too."""
        return True

    @property
    def should_create_reader(self) -> bool:
        """Whether it is of the old kind, with `create_reader`."""
        return type(self).create_reader is not Datasource.create_reader or (
            type(self).prepare_read is not Datasource.prepare_read
        )

    def create_reader(self, **read_args: Any) -> Reader:
        """A reader, of datasources of the old kind."""
        return _LegacyReader(self, **read_args)

    def prepare_read(self, parallelism: int, **read_args: Any) -> list[ReadTask]:
        """The parts to read, of datasources of the old kind."""
        raise NotImplementedError

    def _tasks(self, parallelism: int) -> list[ReadTask]:
        """The parts, whichever kind of datasource it is."""
        if self.should_create_reader:
            return self.create_reader().get_read_tasks(parallelism)
        accepted = inspect.signature(self.get_read_tasks).parameters
        takes_any = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in accepted.values())
        offered = {"per_task_row_limit": None, "data_context": DataContext.get_current()}
        options: dict[str, Any] = {
            name: value for name, value in offered.items() if takes_any or name in accepted
        }
        return self.get_read_tasks(parallelism, **options)


class Reader:
    """What datasources of the old kind make."""

    def estimate_inmemory_data_size(self) -> int | None:
        """About how many bytes all blocks will have; None if that is unknown."""
        raise NotImplementedError

    def get_read_tasks(self, parallelism: int) -> list[ReadTask]:
        """The parts to read."""
        raise NotImplementedError


class _LegacyReader(Reader):
    def __init__(self, datasource: Datasource, **read_args: Any) -> None:
        self._datasource, self._args = datasource, read_args

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int) -> list[ReadTask]:
        return self._datasource.prepare_read(parallelism, **self._args)


class RangeDatasource(Datasource):
    """Whole numbers from 0, or tensors full of them.

    Args:
        n: How many rows.
        tensor_shape: The shape of each row's tensor; None for plain numbers.
        column: The column's name.
    """

    def __init__(self, n: int, tensor_shape: tuple[int, ...] | None = None, column: str = "id") -> None:
        self._n = max(0, int(n))
        self._shape = tensor_shape
        self._column = column

    def get_name(self) -> str:
        """`Range`."""
        return "Range"

    @property
    def schema(self) -> pa.Schema:
        """The column."""
        return self._block(0, 0).schema

    def estimate_inmemory_data_size(self) -> int | None:
        """8 bytes a number."""
        return self._n * 8 * int(np.prod(self._shape or (1,)))

    def _block(self, start: int, end: int) -> pa.Table:
        numbers = np.arange(start, end, dtype=np.int64)
        if self._shape is None:
            return pa.table({self._column: numbers})
        ones = np.ones(self._shape, dtype=np.int64)
        return convert.table_from_columns(
            {self._column: numbers.reshape((-1, *(1 for _ in self._shape))) * ones}
        )

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Equal parts, the last one smaller."""
        if self._n == 0:
            return []
        size = max(1, self._n // max(1, parallelism))
        width = 8 * int(np.prod(self._shape or (1,)))
        tasks = []
        for start in range(0, self._n, size):
            end = min(start + size, self._n)
            meta = BlockMetadata(end - start, (end - start) * width, None)
            tasks.append(ReadTask(_RangePart(self, start, end), meta, self.schema, per_task_row_limit))
        return tasks


class _RangePart:
    def __init__(self, source: RangeDatasource, start: int, end: int) -> None:
        self._source, self._start, self._end = source, start, end

    def __call__(self) -> Iterable[Block]:
        step = 1 << 22
        for start in range(self._start, self._end, step):
            yield self._source._block(start, min(start + step, self._end))


class RandomIntRowDatasource(Datasource):
    """Rows of random whole numbers, in columns `c_0`, `c_1` and so on.

    Args:
        n: How many rows.
        num_columns: How many columns.
    """

    def __init__(self, n: int, num_columns: int) -> None:
        self._n, self._columns = n, num_columns

    def estimate_inmemory_data_size(self) -> int | None:
        """8 bytes a number."""
        return self._n * self._columns * 8

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Equal parts, the last one smaller."""

        def make(rows: int) -> Callable[[], Iterable[Block]]:
            names = [f"c_{i}" for i in range(self._columns)]

            def read() -> Iterable[Block]:
                rng = np.random.default_rng()
                return [pa.table({name: rng.integers(0, 2**63 - 1, rows) for name in names})]

            return read

        size = max(1, self._n // max(1, parallelism))
        parts = [min(size, self._n - start) for start in range(0, self._n, size)]
        return [ReadTask(make(rows), BlockMetadata(rows, rows * 8 * self._columns, None)) for rows in parts]


__all__ = ["Datasource", "RandomIntRowDatasource", "RangeDatasource", "ReadTask", "Reader"]
