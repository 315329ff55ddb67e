"""Datasets from ranges, items, and objects of other libraries."""

from __future__ import annotations

import builtins
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

import skate
from skate.data import convert
from skate.data.block import BlockAccessor
from skate.data.context import DataContext
from skate.data.dataset import Dataset, MaterializedDataset
from skate.data.datasource.datasource import Datasource, RangeDatasource
from skate.data.datasource.iterables import Indexed, IterableDatasource, as_given, item_row
from skate.data.execution.bundle import Bundle
from skate.data.execution.strategies import resolve
from skate.data.options import cpu_count
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas
    import pyarrow as pa

_ITEM_BLOCKS = 200  # lists are cut into so many blocks at most


def block_count(size_bytes: int | None, asked: int | None) -> int:
    """How many blocks to read into: what was asked for, or by the size and the number of CPUs."""
    if asked is not None and asked > 0:
        return asked
    context = DataContext.get_current()
    parallel = 2 * cpu_count()
    if size_bytes is None:
        return max(parallel, context.read_op_min_num_blocks)
    least = -(-size_bytes // (context.target_max_block_size or (1 << 62)))
    most = max(1, size_bytes // context.target_min_block_size)
    return max(min(context.read_op_min_num_blocks, most), least, parallel)


def _asked(override_num_blocks: int | None, parallelism: int) -> int | None:
    if override_num_blocks is not None:
        if override_num_blocks <= 0 and override_num_blocks != -1:
            raise ValueError(
                f"override_num_blocks={override_num_blocks}: it must be at least 1 (`parallelism` must either be -1 or a "
                "positive integer)."
            )
        return override_num_blocks
    return parallelism if parallelism > 0 else None


def read_source(
    source: Datasource,
    *,
    label: str | None = None,
    parallelism: int = -1,
    override_num_blocks: int | None = None,
    concurrency: int | None = None,
    options: dict[str, Any] | None = None,
    schema: pa.Schema | None = None,
    rows: int | None = None,
    files: tuple[str, ...] = (),
) -> Dataset:
    """A dataset of what a datasource reads."""
    size = source.create_reader().estimate_inmemory_data_size() if source.should_create_reader else None
    if not source.should_create_reader:
        size = source.estimate_inmemory_data_size()
    blocks = block_count(size, _asked(override_num_blocks, parallelism))
    if concurrency is not None or options:
        resolve(None, None, concurrency, options or {}, None)
    plan = lg.Read(
        source=source._tasks,
        label=label or f"Read{source.get_name()}",
        blocks=blocks,
        schema=schema,
        rows=rows,
        size_bytes=size,
        datasource=source,
        files=files,
        options=tuple((options or {}).items()),
        concurrency=concurrency,
    )
    return Dataset(plan)


def range(
    n: int, *, parallelism: int = -1, concurrency: int | None = None, override_num_blocks: int | None = None
) -> Dataset:
    """Whole numbers from 0, in a column `id`.

    Args:
        n: How many.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        concurrency: How many tasks make them at a time.
        override_num_blocks: How many blocks to make.

    Example:
        >>> import skate.data
        >>> skate.data.range(3).take_all()
        [{'id': 0}, {'id': 1}, {'id': 2}]
    """
    source = RangeDatasource(n)
    return read_source(
        source,
        parallelism=parallelism,
        override_num_blocks=override_num_blocks,
        concurrency=concurrency,
        schema=source.schema,
        rows=max(0, n),
    )


def range_tensor(
    n: int,
    *,
    shape: tuple[int, ...] = (1,),
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """Tensors full of 0, of 1 and so on, in a column `data`.

    Args:
        n: How many.
        shape: The shape of each.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        concurrency: How many tasks make them at a time.
        override_num_blocks: How many blocks to make.

    Example:
        >>> import skate.data
        >>> skate.data.range_tensor(2, shape=(2,)).take_all()
        [{'data': array([0, 0])}, {'data': array([1, 1])}]
    """
    source = RangeDatasource(n, tuple(shape), "data")
    return read_source(
        source,
        parallelism=parallelism,
        override_num_blocks=override_num_blocks,
        concurrency=concurrency,
        schema=source.schema,
        rows=max(0, n),
    )


def _of_tables(tables: Iterable[pa.Table]) -> MaterializedDataset:
    return MaterializedDataset(lg.InputData((), tuple(Bundle(table) for table in tables)))


def from_items(
    items: list[Any], *, parallelism: int = -1, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """A row for each item: dicts are rows, anything else is in a column `item`.

    Args:
        items: The items.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        override_num_blocks: How many blocks to make.

    Example:
        >>> import skate.data
        >>> skate.data.from_items([1, 2]).take_all()
        [{'item': 1}, {'item': 2}]
    """
    asked = _asked(override_num_blocks, parallelism) or _ITEM_BLOCKS
    blocks = min(len(items), asked) or 1
    edges = [len(items) * i // blocks for i in builtins.range(blocks + 1)]
    tables = []
    for start, end in itertools.pairwise(edges):
        rows = [item if isinstance(item, dict) else {"item": item} for item in items[start:end]]
        if rows:
            tables.append(convert.table_from_rows(rows))
    return _of_tables(tables)


def from_arrow(
    tables: pa.Table | bytes | list[pa.Table | bytes], *, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """Arrow tables, a block for each.

    Args:
        tables: A table or several, or bytes of Arrow's streaming format.
        override_num_blocks: How many blocks to make instead.
    """
    parts = tables if isinstance(tables, list) else [tables]
    blocks = [BlockAccessor.for_block(table).to_arrow() for table in parts]
    return _of_tables(_recut(blocks, override_num_blocks))


def from_pandas(
    dfs: pandas.DataFrame | list[pandas.DataFrame], override_num_blocks: int | None = None
) -> MaterializedDataset:
    """DataFrames, a block for each.

    Args:
        dfs: A DataFrame or several.
        override_num_blocks: How many blocks to make instead.

    Example:
        >>> import pandas, skate.data
        >>> skate.data.from_pandas(pandas.DataFrame({"x": [1, 2]})).take_all()
        [{'x': 1}, {'x': 2}]
    """
    parts = dfs if isinstance(dfs, list) else [dfs]
    return _of_tables(_recut([convert.table_from_pandas(_frame(df)) for df in parts], override_num_blocks))


def _frame(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        import pandas

        return pandas.DataFrame(value)
    return value


def _recut(tables: list[pa.Table], blocks: int | None) -> list[pa.Table]:
    if blocks is None:
        return tables
    from skate.data.execution.rearranging import split_evenly

    return [bundle.table for bundle in split_evenly([Bundle(table) for table in tables], blocks)]


def from_numpy(ndarrays: np.ndarray[Any, Any] | list[np.ndarray[Any, Any]]) -> MaterializedDataset:
    """Arrays, a block for each, in a column `data`; the first dimension is the rows.

    Args:
        ndarrays: An array or several.
    """
    parts = [ndarrays] if isinstance(ndarrays, np.ndarray) else list(ndarrays)
    return _of_tables(convert.table_from_columns({"data": part}) for part in parts)


def _refs(refs: Any) -> Sequence[Any]:
    given = refs if isinstance(refs, list) else [refs]
    for ref in given:
        if not isinstance(ref, skate.ObjectRef):
            raise ValueError(
                f"Expected a ref to an object, or a list of them, got {type(ref)}: put values with skate.put."
            )
    return given


def from_arrow_refs(tables: Any) -> MaterializedDataset:
    """Arrow tables in the object store, a block for each.

    Args:
        tables: A ref or several.
    """
    return from_arrow(list(skate.get(list(_refs(tables)))))


def from_pandas_refs(dfs: Any) -> MaterializedDataset:
    """DataFrames in the object store, a block for each.

    Args:
        dfs: A ref or several.
    """
    return from_pandas(list(skate.get(list(_refs(dfs)))))


def from_numpy_refs(ndarrays: Any) -> MaterializedDataset:
    """Arrays in the object store, a block for each, in a column `data`.

    Args:
        ndarrays: A ref or several.
    """
    return from_numpy(list(skate.get(list(_refs(ndarrays)))))


def from_blocks(blocks: list[Any]) -> MaterializedDataset:
    """Blocks: Arrow tables or DataFrames.

    Args:
        blocks: The blocks.
    """
    return _of_tables(BlockAccessor.for_block(block).to_arrow() for block in blocks)


def from_polars(dfs: Any) -> MaterializedDataset:
    """Polars DataFrames, a block for each.

    Args:
        dfs: A DataFrame or several.
    """
    parts = dfs if isinstance(dfs, list) else [dfs]
    return _of_tables(convert.table_from_batch(part) for part in parts)


def from_dask(df: Any) -> MaterializedDataset:
    """A Dask DataFrame, a block for each partition.

    Args:
        df: The DataFrame.
    """
    import dask

    return from_pandas(list(dask.compute(*df.to_delayed())))


def from_modin(df: Any) -> MaterializedDataset:
    """A Modin DataFrame.

    Args:
        df: The DataFrame.
    """
    return from_pandas(df._to_pandas())


def from_mars(df: Any) -> MaterializedDataset:
    """A Mars DataFrame.

    Args:
        df: The DataFrame.
    """
    return from_pandas(df.to_pandas())


def from_daft(df: Any) -> MaterializedDataset:
    """A Daft DataFrame.

    Args:
        df: The DataFrame.
    """
    return from_arrow(df.to_arrow())


def from_spark(
    df: Any, *, parallelism: int | None = None, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """A Spark DataFrame.

    Args:
        df: The DataFrame.
        parallelism: The old name of `override_num_blocks`.
        override_num_blocks: How many blocks to make.
    """
    asked = override_num_blocks or parallelism
    if hasattr(df, "toArrow"):  # from PySpark 4 on: lists stay lists
        return from_arrow(convert.normalise(df.toArrow()), override_num_blocks=asked)
    return from_pandas(df.toPandas(), asked)


def from_torch(dataset: Any, local_read: bool = False) -> Dataset:
    """A torch dataset, a row for each item, in a column `item`.

    Args:
        dataset: One with a length, or an iterable one.
        local_read: Accepted for Ray's programs.
    """
    sized = hasattr(dataset, "__len__") and not hasattr(dataset, "__iter__")
    items = Indexed(dataset) if sized else dataset
    rows = len(dataset) if sized else None
    return read_source(IterableDatasource(items, item_row, rows, "Torch"), rows=rows)


def from_tf(dataset: Any) -> MaterializedDataset:
    """A TensorFlow dataset: dicts are rows, anything else is in a column `item`.

    Args:
        dataset: The dataset; it must fit into memory.
    """
    return from_items(list(dataset.as_numpy_iterator()))


def from_huggingface(
    dataset: Any,
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """A dataset of the Hugging Face `datasets` library.

    Args:
        dataset: A `Dataset`, or an `IterableDataset`.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        concurrency: Accepted for Ray's programs.
        override_num_blocks: How many blocks to make.

    Raises:
        TypeError: it is a dict of datasets, or something else.
    """
    kind = type(dataset).__name__
    if kind in ("DatasetDict", "IterableDatasetDict"):
        raise DeprecationWarning(
            "You provided a Hugging Face DatasetDict or IterableDatasetDict, which contains multiple datasets, but "
            f"`from_huggingface` now only accepts a single one. Choose one of: {list(dataset)}"
        )
    if kind == "Dataset":
        table = dataset.with_format("arrow")[:]
        asked = _asked(override_num_blocks, parallelism)
        return from_arrow(convert.normalise(table.replace_schema_metadata(None)), override_num_blocks=asked)
    if kind == "IterableDataset":
        return read_source(
            IterableDatasource(dataset, as_given, None, "HuggingFace"), concurrency=concurrency
        )
    raise TypeError(
        f"`dataset` must be a `datasets.Dataset` or a `datasets.IterableDataset`, but got {type(dataset)}"
    )


__all__ = [
    "block_count",
    "from_arrow",
    "from_arrow_refs",
    "from_blocks",
    "from_daft",
    "from_dask",
    "from_huggingface",
    "from_items",
    "from_mars",
    "from_modin",
    "from_numpy",
    "from_numpy_refs",
    "from_pandas",
    "from_pandas_refs",
    "from_polars",
    "from_spark",
    "from_tf",
    "from_torch",
    "range",
    "range_tensor",
    "read_source",
]
