"""Datasets read from other stores and formats: databases, Avro, TFRecords, WebDataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.creation import read_source
from skate.data.datasource.avro import AvroDatasource
from skate.data.datasource.sql import SQLDatasource
from skate.data.datasource.tfrecords import TFRecordDatasource
from skate.data.datasource.webdataset import WebDatasetDatasource
from skate.data.methods.base import options_of
from skate.data.reading import _read_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.data.dataset import Dataset
    from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter


def read_sql(
    sql: str,
    connection_factory: Callable[[], Any],
    *,
    sql_params: Any = None,
    shard_keys: list[str] | None = None,
    shard_hash_fn: str = "MD5",
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read the answer to a query from a database with a Python DB-API driver.

    Args:
        sql: The query.
        connection_factory: Opens a connection; it is called in each task that reads.
        sql_params: Parameters of the query.
        shard_keys: Columns whose hash divides the answer among tasks; None reads in one task.
        shard_hash_fn: The database's hash function for that.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        num_cpus: CPUs of each task that reads.
        num_gpus: GPUs of each task that reads.
        memory: Bytes of memory of each task that reads.
        concurrency: How many tasks read at a time.
        override_num_blocks: How many blocks to read into.
        label_selector: Labels of the machine to run on.
        fallback_strategy: Other options to try.
        max_calls: After so many calls a worker is replaced.
        resources: Custom resources of each task that reads.
        accelerator_type: The kind of accelerator.
        runtime_env: The environment of each task that reads.
        ray_remote_args: Further options of the tasks that read.

    Example:
        >>> import skate.data, sqlite3
        >>> skate.data.read_sql("select 1 as one", lambda: sqlite3.connect(":memory:")).take_all()
        [{'one': 1}]
    """
    source = SQLDatasource(sql, connection_factory, sql_params, shard_keys, shard_hash_fn)
    options = options_of(
        num_cpus,
        num_gpus,
        memory,
        label_selector,
        fallback_strategy,
        max_calls,
        resources,
        accelerator_type,
        runtime_env,
        **(ray_remote_args or {}),
    )
    blocks = override_num_blocks if shard_keys else 1
    return read_source(
        source, parallelism=parallelism, override_num_blocks=blocks, concurrency=concurrency, options=options
    )


def read_avro(
    paths: Any,
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: Any = None,
    file_extensions: list[str] | None = ["avro"],  # noqa: B006 - Ray's default, never changed
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read Avro files.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        num_cpus: CPUs of each task that reads.
        num_gpus: GPUs of each task that reads.
        memory: Bytes of memory of each task that reads.
        arrow_open_stream_args: Arguments of the file system's `open_input_stream`.
        partition_filter: Which files to read, by the values in their paths.
        partitioning: How to read values from paths, as columns.
        include_paths: Whether to add the path of the file, as a column `path`.
        ignore_missing_paths: Whether paths with nothing at them are left out.
        shuffle: `"files"` or a `FileShuffleConfig`: read the files in random order.
        file_extensions: Endings of names; other files are left out.
        concurrency: How many tasks read at a time.
        override_num_blocks: How many blocks to read into.
        label_selector: Labels of the machine to run on.
        fallback_strategy: Other options to try.
        max_calls: After so many calls a worker is replaced.
        resources: Custom resources of each task that reads.
        accelerator_type: The kind of accelerator.
        runtime_env: The environment of each task that reads.
        ray_remote_args: Further options of the tasks that read.

    Raises:
        ImportError: fastavro is missing.
        FileNotFoundError: there is nothing at a path.
    """
    source = AvroDatasource(
        paths,
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    options = options_of(
        num_cpus,
        num_gpus,
        memory,
        label_selector,
        fallback_strategy,
        max_calls,
        resources,
        accelerator_type,
        runtime_env,
        **(ray_remote_args or {}),
    )
    return _read_files(source, parallelism, override_num_blocks, concurrency, options)


def read_tfrecords(
    paths: Any,
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    tf_schema: Any = None,
    shuffle: Any = None,
    file_extensions: list[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read TFRecord files of `tf.train.Example` messages. TensorFlow is not needed.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        num_cpus: CPUs of each task that reads.
        num_gpus: GPUs of each task that reads.
        memory: Bytes of memory of each task that reads.
        arrow_open_stream_args: Arguments of the file system's `open_input_stream`.
        partition_filter: Which files to read, by the values in their paths.
        include_paths: Whether to add the path of the file, as a column `path`.
        ignore_missing_paths: Whether paths with nothing at them are left out.
        tf_schema: Accepted for Ray's programs: the messages tell their types.
        shuffle: `"files"` or a `FileShuffleConfig`: read the files in random order.
        file_extensions: Endings of names; other files are left out.
        concurrency: How many tasks read at a time.
        override_num_blocks: How many blocks to read into.
        label_selector: Labels of the machine to run on.
        fallback_strategy: Other options to try.
        max_calls: After so many calls a worker is replaced.
        resources: Custom resources of each task that reads.
        accelerator_type: The kind of accelerator.
        runtime_env: The environment of each task that reads.
        ray_remote_args: Further options of the tasks that read.

    Raises:
        FileNotFoundError: there is nothing at a path.
    """
    source = TFRecordDatasource(
        paths,
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    options = options_of(
        num_cpus,
        num_gpus,
        memory,
        label_selector,
        fallback_strategy,
        max_calls,
        resources,
        accelerator_type,
        runtime_env,
        **(ray_remote_args or {}),
    )
    return _read_files(source, parallelism, override_num_blocks, concurrency, options)


def read_webdataset(
    paths: Any,
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    decoder: Any = True,
    fileselect: Any = None,
    filerename: Any = None,
    suffixes: Any = None,
    verbose_open: bool = False,
    shuffle: Any = None,
    include_paths: bool = False,
    file_extensions: list[str] | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    expand_json: bool = False,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read WebDataset archives: a row for each sample, a column for each ending.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        num_cpus: CPUs of each task that reads.
        num_gpus: GPUs of each task that reads.
        memory: Bytes of memory of each task that reads.
        arrow_open_stream_args: Arguments of the file system's `open_input_stream`.
        partition_filter: Which files to read, by the values in their paths.
        decoder: True decodes by endings; functions, or a list of them, decode otherwise; None leaves bytes.
        fileselect: Names of files to read, patterns of them, or a function that chooses.
        filerename: Pairs of a pattern and a new name, or a function.
        suffixes: Endings to read, or a function that chooses.
        verbose_open: Accepted for Ray's programs.
        shuffle: `"files"` or a `FileShuffleConfig`: read the files in random order.
        include_paths: Whether to add the path of the file, as a column `path`.
        file_extensions: Endings of names; other files are left out.
        expand_json: Whether the keys of `.json` files become columns.
        concurrency: How many tasks read at a time.
        override_num_blocks: How many blocks to read into.
        label_selector: Labels of the machine to run on.
        fallback_strategy: Other options to try.
        max_calls: After so many calls a worker is replaced.
        resources: Custom resources of each task that reads.
        accelerator_type: The kind of accelerator.
        runtime_env: The environment of each task that reads.
        ray_remote_args: Further options of the tasks that read.

    Raises:
        FileNotFoundError: there is nothing at a path.
    """
    source = WebDatasetDatasource(
        paths,
        decoder,
        fileselect,
        filerename,
        suffixes,
        expand_json,
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        shuffle=shuffle,
        include_paths=include_paths,
        file_extensions=file_extensions,
    )
    options = options_of(
        num_cpus,
        num_gpus,
        memory,
        label_selector,
        fallback_strategy,
        max_calls,
        resources,
        accelerator_type,
        runtime_env,
        **(ray_remote_args or {}),
    )
    return _read_files(source, parallelism, override_num_blocks, concurrency, options)


__all__ = ["read_avro", "read_sql", "read_tfrecords", "read_webdataset"]
