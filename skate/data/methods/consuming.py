"""Methods of `Dataset` that run it: rows, batches, counts, schemas, and other libraries' frames."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import skate
from skate.data import convert
from skate.data.iterator import DataIterator, DatasetIterator
from skate.data.methods.base import DatasetBase
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from skate.data.dataset import MaterializedDataset, Schema
    from skate.data.execution.bundle import Bundle
    from skate.data.random_access_dataset import RandomAccessDataset


def _on_iterator(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method on a dataset: it goes over its iterator."""

    @functools.wraps(method)
    def call(self: ConsumingMethods, *args: Any, **kwargs: Any) -> Any:
        return method(self.iterator(), *args, **kwargs)

    return call


class ConsumingMethods(DatasetBase):
    """What runs a dataset."""

    def take(self, limit: int = 20) -> list[dict[str, Any]]:
        """The first rows, as dicts.

        Args:
            limit: How many at most.

        Example:
            >>> import skate.data
            >>> skate.data.range(100).take(2)
            [{'id': 0}, {'id': 1}]
        """
        rows: list[dict[str, Any]] = []
        if limit <= 0:
            return rows
        limited = self._with(lg.Limit((self._plan,), limit))
        for table in limited._tables():
            rows.extend(convert.iter_rows(table))
        self._last = limited._last
        return rows

    def take_all(self, limit: int | None = None) -> list[dict[str, Any]]:
        """All rows, as dicts.

        Args:
            limit: Raise if there are more than this.

        Raises:
            ValueError: there are more rows than `limit`.
        """
        rows: list[dict[str, Any]] = []
        for table in self._tables():
            rows.extend(convert.iter_rows(table))
            if limit is not None and len(rows) > limit:
                raise ValueError(
                    f"The dataset has more than the given limit of {limit} records. Use ds.limit(N).take_all()."
                )
        return rows

    def take_batch(self, batch_size: int = 20, *, batch_format: str | None = "default") -> Any:
        """The first rows, as one batch.

        Args:
            batch_size: How many at most.
            batch_format: As in `map_batches`.

        Raises:
            ValueError: there are no rows.
        """
        kind = convert.resolve_batch_format(batch_format)
        limited = self._with(lg.Limit((self._plan,), batch_size))
        table = convert.concat(limited._tables())
        if table.num_rows == 0:
            raise ValueError("The dataset is empty.")
        return convert.table_to_batch(table, kind)

    def show(self, limit: int = 20) -> None:
        """Print the first rows.

        Args:
            limit: How many at most.
        """
        for row in self.take(limit):
            print(row)  # noqa: T201 - that is what it is for

    def count(self) -> int:
        """How many rows there are. Where files tell it, they are not read."""
        known = lg.known_rows(self._plan)
        if known is not None:
            return max(0, known)
        from skate.data.aggregate import Count
        from skate.data.execution.executor import Execution

        if self._cached is not None:
            return sum(bundle.rows for bundle in self._cached)
        plan = lg.Aggregate((self._plan,), (), (Count(),))
        run = Execution(plan)
        if not run._is_native(run.plan.inputs[0]):
            return sum(bundle.rows for bundle in self._execute())
        return int(next(run.whole()).table.column(0)[0].as_py())

    def schema(self, fetch_if_missing: bool = True) -> Schema | None:
        """Names and types of the columns.

        Args:
            fetch_if_missing: Whether to run the first block if they can't be told otherwise.

        Returns:
            None if they are unknown, or if there is neither a row nor a column.
        """
        from skate.data.dataset import Schema

        found = self._schema_now()
        if found is None and fetch_if_missing:
            found = self._peek_schema()
        return None if found is None or len(found) == 0 else Schema(found)

    def _schema_now(self) -> pa.Schema | None:
        if self._cached is not None:
            return lg.known_schema(lg.InputData((), self._cached))
        return lg.known_schema(self._plan)

    def _peek_schema(self) -> pa.Schema | None:
        from skate.data.execution.executor import Execution
        from skate.data.plan.schemas import looked_at

        first: pa.Schema | None = None
        # A row of each input may match no other, or be filtered out after all: then only the whole plan has the columns.
        cuts = (lg.Join, lg.Zip, lg.Aggregate, lg.Distinct)
        whole = [self._plan] if any(isinstance(op, cuts) for op in lg.walk(self._plan)) else []
        for plan in (looked_at(self._plan), *whole):
            for bundle in Execution(lg.Limit((plan,), 1)).bundles():
                if bundle.schema is not None and len(bundle.schema):
                    first = bundle.schema if first is None else first
                    if bundle.rows:
                        return bundle.schema
        return first

    def columns(self, fetch_if_missing: bool = True) -> list[str] | None:
        """Names of the columns.

        Args:
            fetch_if_missing: Whether to run the first block if they can't be told otherwise.
        """
        schema = self.schema(fetch_if_missing)
        return None if schema is None else list(schema.names)

    def size_bytes(self) -> int:
        """Bytes in memory: as read tasks or blocks tell, or by running."""
        plan = self._plan
        if isinstance(plan, lg.Read) and self._cached is None:
            if plan.size_bytes is not None:
                return plan.size_bytes
        return sum(bundle.size_bytes for bundle in self._execute())

    def input_files(self) -> list[str]:
        """The files that it is read from, each once."""
        files: dict[str, None] = {}
        for op in lg.walk(self._plan):
            if isinstance(op, lg.Read):
                files.update(dict.fromkeys(op.files))
            if isinstance(op, lg.InputData):
                files.update(dict.fromkeys(f for bundle in op.bundles for f in bundle.files))
        return list(files)

    def num_blocks(self) -> int:
        """How many blocks there are; known after `materialize()` only.

        Raises:
            NotImplementedError: it has not been materialized.
        """
        raise NotImplementedError(
            "Number of blocks is only available for `MaterializedDataset`, because the number of blocks may dynamically "
            "change during execution. Call `ds.materialize()` to get a `MaterializedDataset`."
        )

    def materialize(self) -> MaterializedDataset:
        """Run it, and keep the blocks.

        Returns:
            A dataset of those blocks: nothing is computed again for it.
        """
        from skate.data.dataset import MaterializedDataset

        bundles = tuple(self._execute(whole=True))
        result = MaterializedDataset(lg.InputData((), bundles), self._context, self._name)
        result._last = self._last
        self._cached = bundles
        return result

    def to_random_access_dataset(self, key: str, num_workers: int | None = None) -> RandomAccessDataset:
        """Rows by the value of a column, held by actors: for lookups, one or many at a time.

        Args:
            key: The column.
            num_workers: How many actors; default: four for each machine.

        Raises:
            ValueError: there is no such column, or the dataset has none.
        """
        from skate.data.random_access_dataset import RandomAccessDataset

        if num_workers is None:
            if not skate.is_initialized():
                skate.init()
            num_workers = 4 * len(skate.nodes())
        return RandomAccessDataset(self, key, num_workers)  # type: ignore[arg-type]

    # Iteration

    def iterator(self) -> DataIterator:
        """An iterator over it, that can be sent to another process."""
        return DatasetIterator(self)  # type: ignore[arg-type]

    def iter_rows(self) -> Iterable[dict[str, Any]]:
        """The rows, as dicts, while it runs."""
        return self.iterator().iter_rows()

    def iter_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        batch_format: str | None = "default",
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        _collate_fn: Callable[[Any], Any] | None = None,
    ) -> Iterable[Any]:
        """The rows in batches, while it runs.

        Args:
            prefetch_batches: Batches that are made ready beforehand.
            batch_size: Rows of a batch; None for whole blocks.
            batch_format: As in `map_batches`.
            drop_last: Whether to leave out a last batch that is smaller.
            local_shuffle_buffer_size: Rows from which the next is drawn at random; None keeps the order.
            local_shuffle_seed: Makes that the same each time.

        Example:
            >>> import skate.data
            >>> [batch["id"].tolist() for batch in skate.data.range(5).iter_batches(batch_size=2)]
            [[0, 1], [2, 3], [4]]
        """
        return self.iterator()._iter(
            prefetch_batches,
            batch_size,
            batch_format,
            drop_last,
            local_shuffle_buffer_size,
            local_shuffle_seed,
            _collate_fn,
        )

    iter_torch_batches = _on_iterator(DataIterator.iter_torch_batches)
    iter_tf_batches = _on_iterator(DataIterator.iter_tf_batches)
    iter_jax_batches = _on_iterator(DataIterator.iter_jax_batches)
    to_torch = _on_iterator(DataIterator.to_torch)
    to_tf = _on_iterator(DataIterator.to_tf)

    # Other libraries

    def to_pandas(self, limit: int | None = None) -> Any:
        """All rows as one pandas DataFrame.

        Args:
            limit: Raise if there are more rows than this.

        Raises:
            ValueError: there are more rows than `limit`.
        """
        tables = []
        rows = 0
        for bundle in self._execute(whole=True):
            rows += bundle.rows
            if limit is not None and rows > limit:
                raise ValueError(
                    f"the dataset has more than the given limit of {limit} rows. Use ds.limit(N).to_pandas(), or "
                    "limit=None for all of them."
                )
            tables.append(bundle.table)
        return convert.table_to_pandas(convert.concat(tables))

    def to_arrow(self) -> pa.Table:
        """All rows as one Arrow table."""
        return convert.concat(bundle.table for bundle in self._execute(whole=True))

    def to_polars(self) -> Any:
        """All rows as one Polars DataFrame."""
        import polars

        return polars.from_arrow(self.to_arrow())

    def to_arrow_refs(self) -> list[Any]:
        """A ref to an Arrow table for each block."""
        return [bundle.ref for bundle in self._bundles()]

    def to_pandas_refs(self) -> list[Any]:
        """A ref to a DataFrame for each block."""
        return [skate.put(convert.table_to_pandas(bundle.table)) for bundle in self._bundles()]

    def to_numpy_refs(self, *, column: str | None = None) -> list[Any]:
        """A ref to a dict of arrays for each block.

        Args:
            column: A column: then each is one array.
        """
        from skate.data.block import BlockAccessor

        return [
            skate.put(BlockAccessor.for_block(bundle.table).to_numpy(column)) for bundle in self._bundles()
        ]

    def to_dask(self, meta: Any = None, verify_meta: bool = True) -> Any:
        """A Dask DataFrame with a partition for each block.

        Args:
            meta: An empty frame of the same columns; default: taken from the first block.
            verify_meta: Whether Dask checks each partition against it.

        Raises:
            ImportError: Dask is missing.
        """
        from skate.data.interop import require_module

        dd = require_module("dask.dataframe", "dask[dataframe]")
        frames = [convert.table_to_pandas(bundle.table) for bundle in self._bundles()]
        return dd.from_map(
            _Pick(frames), range(len(frames)), meta=frames[0].iloc[:0] if meta is None else meta
        )

    def to_modin(self) -> Any:
        """A Modin DataFrame.

        Raises:
            ImportError: Modin is missing.
        """
        from skate.data.interop import require_module

        return require_module("modin.pandas", "modin").DataFrame(self.to_pandas())

    def to_daft(self) -> Any:
        """A Daft DataFrame.

        Raises:
            ImportError: Daft is missing.
        """
        from skate.data.interop import require_module

        return require_module("daft", "daft").from_arrow(self.to_arrow())

    def to_spark(self, spark: Any) -> Any:
        """A Spark DataFrame.

        Args:
            spark: The Spark session.
        """
        return spark.createDataFrame(self.to_pandas())

    def to_mars(self) -> Any:
        """A Mars DataFrame.

        Raises:
            ImportError: Mars is missing.
        """
        from skate.data.interop import require_module

        return require_module("mars.dataframe", "pymars").DataFrame(self.to_pandas())

    def get_internal_block_refs(self) -> list[Any]:
        """A ref for each block."""
        return [bundle.ref for bundle in self._bundles()]

    def iter_internal_ref_bundles(self) -> Iterator[Bundle]:
        """The blocks with what is known of them."""
        return iter(self._bundles())

    def _bundles(self) -> list[Bundle]:
        return list(self._execute(whole=True))

    def _tables(self) -> Iterator[pa.Table]:
        for bundle in self._execute():
            yield bundle.table


class _Pick:
    def __init__(self, frames: list[Any]) -> None:
        self._frames = frames

    def __call__(self, index: int) -> Any:
        return self._frames[index]


__all__ = ["ConsumingMethods"]
