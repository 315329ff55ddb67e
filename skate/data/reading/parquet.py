"""Datasets read from Parquet files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.creation import _asked, block_count
from skate.data.dataset import Dataset
from skate.data.datasource.files import resolve_paths
from skate.data.datasource.parquet import ParquetDatasource, make_read
from skate.data.reading.arguments import HIVE, file_arguments, reader, task_arguments

if TYPE_CHECKING:
    import numpy as np

    from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter


@reader
def read_parquet(
    paths: Any,
    *,
    filesystem: Any = None,
    catalog: Any = None,
    columns: list[str] | None = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    tensor_column_schema: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = HIVE,
    shuffle: Any = None,
    include_paths: bool = False,
    include_row_hash: bool = False,
    file_extensions: list[str] | None = ["parquet"],  # noqa: B006 - Ray's default, never changed
    ignore_missing_paths: bool = False,
    skip_paths: str | list[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_parquet_args: Any,
) -> Dataset:
    """Read Parquet files. Only the columns and rows that the program uses later are read.

    Args:
        catalog: Resolves `paths` as the name of a table.
        columns: The columns to read; None for all.
        tensor_column_schema: Types and shapes of columns that hold tensors as bytes.
        include_row_hash: Whether to add a hash of each row, as a column `row_hash`.
        skip_paths: Paths of files to leave out.
        arrow_parquet_args: `filter` and `schema`, as Arrow datasets take them.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left, or one is no Parquet file.
    """
    given = locals()
    if catalog is not None:
        from skate.data.catalog import ReaderFormat

        found = catalog.resolve(paths, reader=ReaderFormat.PARQUET)
        paths, given["filesystem"] = found.path, found.filesystem or filesystem
    dataset_options = dict(arrow_parquet_args.pop("dataset_kwargs", None) or {})
    if "partitioning" in dataset_options:
        raise ValueError(
            "The 'partitioning' parameter isn't supported in 'dataset_kwargs'. Use the top-level 'partitioning' parameter instead."
        )
    source = ParquetDatasource(
        paths,
        columns=columns,
        filter=arrow_parquet_args.pop("filter", None),
        schema=arrow_parquet_args.pop("schema", None),
        block_udf=arrow_parquet_args.pop("_block_udf", None),
        batch_size=arrow_parquet_args.pop("batch_size", None),
        tensor_columns=tensor_column_schema,
        **file_arguments(given),
    )
    if skip_paths is not None:
        skipped = set(resolve_paths(skip_paths, given["filesystem"])[0]) if skip_paths else set()
        source._files = [pair for pair in source._files if pair[0] not in skipped]
        if not source._files:
            raise ValueError(
                f"No files found under {paths}: skip_paths={skip_paths!r} leaves all of them out."
            )
    options = task_arguments(given)
    blocks = block_count(source.estimate_inmemory_data_size(), _asked(override_num_blocks, parallelism))
    dataset = Dataset(make_read(source, blocks, options=tuple(options.items()), concurrency=concurrency))
    return dataset.map_batches(_row_hash, batch_format="pyarrow") if include_row_hash else dataset


def _row_hash(table: Any) -> Any:
    import polars as pl

    frame = pl.from_arrow(table)
    return table.append_column("row_hash", frame.hash_rows(seed=1).to_arrow())  # type: ignore[union-attr]


__all__ = ["read_parquet"]
