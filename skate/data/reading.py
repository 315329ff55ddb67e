"""Datasets read from files, and from anything that has a `Datasource`."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from skate.data.creation import read_source
from skate.data.datasource.file_based import (
    CSVDatasource,
    FileBasedDatasource,
    JSONDatasource,
    ORCDatasource,
    TextDatasource,
)
from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter
from skate.data.methods.base import options_of

if TYPE_CHECKING:
    from skate.data.dataset import Dataset
    from skate.data.datasource.datasource import Datasource

_HIVE = Partitioning("hive")  # type: ignore[arg-type]
_JSON = [
    "json", "jsonl", "json.gz", "jsonl.gz", "json.br", "jsonl.br", "json.zst", "jsonl.zst", "json.lz4", "jsonl.lz4",
]  # fmt: skip


def _read_files(
    source: FileBasedDatasource,
    parallelism: int,
    override_num_blocks: int | None,
    concurrency: int | None,
    options: dict[str, Any],
) -> Dataset:
    return read_source(
        source,
        parallelism=parallelism,
        override_num_blocks=override_num_blocks,
        concurrency=concurrency,
        options=options,
        files=source.files,
    )


def read_csv(
    paths: Any,
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = _HIVE,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
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
    **arrow_csv_args: Any,
) -> Dataset:
    """Read CSV files.

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
        arrow_csv_args: `read_options`, `parse_options` and `convert_options` of `pyarrow.csv`.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    source = CSVDatasource(
        paths,
        arrow_csv_args,
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read_files(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        options_of(
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
        ),
    )


def read_json(
    paths: Any,
    *,
    lines: bool = False,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = _HIVE,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: Any = None,
    file_extensions: list[str] | None = _JSON,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_json_args: Any,
) -> Dataset:
    """Read JSON files: an object a line, or one array of objects.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        lines: Accepted for Ray's programs: what the file holds decides.
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
        arrow_json_args: `read_options` and `parse_options` of `pyarrow.json`.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    source = JSONDatasource(
        paths,
        lines,
        arrow_json_args,
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read_files(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        options_of(
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
        ),
    )


def read_text(
    paths: Any,
    *,
    encoding: str = "utf-8",
    drop_empty_lines: bool = True,
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
    """Read text files, a row for each line, in a column `text`.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        encoding: How characters are written.
        drop_empty_lines: Whether to leave out empty lines.
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
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    source = TextDatasource(
        paths,
        drop_empty_lines=drop_empty_lines,
        encoding=encoding,
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read_files(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        options_of(
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
        ),
    )


def read_orc(
    paths: Any,
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: Any = None,
    file_extensions: list[str] | None = ["orc"],  # noqa: B006 - Ray's default, never changed
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
    """Read ORC files.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        num_cpus: CPUs of each task that reads.
        num_gpus: GPUs of each task that reads.
        memory: Bytes of memory of each task that reads.
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
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    source = ORCDatasource(
        paths,
        filesystem=filesystem,
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read_files(
        source,
        parallelism,
        override_num_blocks,
        concurrency,
        options_of(
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
        ),
    )


def read_datasource(
    datasource: Datasource,
    *,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    compute: Any = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **read_args: Any,
) -> Dataset:
    """Read from a datasource.

    Args:
        datasource: The datasource.
        compute: Accepted for Ray's programs.
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
        read_args: Arguments of datasources of the old kind.
    """
    if read_args:
        source = copy.copy(datasource)
        reader = source.create_reader(**read_args)
        source.create_reader = lambda **_: reader  # type: ignore[method-assign]
        datasource = source
    return read_source(
        datasource,
        parallelism=parallelism,
        override_num_blocks=override_num_blocks,
        concurrency=concurrency,
        options=options_of(
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
        ),
    )


__all__ = ["read_csv", "read_datasource", "read_json", "read_orc", "read_text"]
