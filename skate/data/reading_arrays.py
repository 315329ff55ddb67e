"""Datasets read from images, NumPy files, and any files as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource.file_based import (
    BinaryDatasource,
    ImageDatasource,
    NumpyDatasource,
)
from skate.data.methods.base import options_of
from skate.data.reading import _read_files

_IMAGES = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif"]


if TYPE_CHECKING:
    from skate.data.dataset import Dataset
    from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter


def read_binary_files(
    paths: Any,
    *,
    include_paths: bool = False,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
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
    """Read any files, a row for each, with its content in a column `bytes`.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        include_paths: Whether to add the path of the file, as a column `path`.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        num_cpus: CPUs of each task that reads.
        num_gpus: GPUs of each task that reads.
        memory: Bytes of memory of each task that reads.
        arrow_open_stream_args: Arguments of the file system's `open_input_stream`.
        partition_filter: Which files to read, by the values in their paths.
        partitioning: How to read values from paths, as columns.
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
    source = BinaryDatasource(
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


def read_images(
    paths: Any,
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    arrow_open_file_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    size: tuple[int, int] | None = None,
    mode: str | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: Any = None,
    file_extensions: list[str] | None = _IMAGES,
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
    """Read and decode images, a row for each, in a column `image`.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        num_cpus: CPUs of each task that reads.
        num_gpus: GPUs of each task that reads.
        memory: Bytes of memory of each task that reads.
        arrow_open_file_args: Arguments of the file system's `open_input_stream`.
        partition_filter: Which files to read, by the values in their paths.
        partitioning: How to read values from paths, as columns.
        size: Height and width to resize to.
        mode: The mode to convert to, as Pillow names it.
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
    source = ImageDatasource(
        paths,
        size,
        mode,
        filesystem=filesystem,
        open_stream_args=arrow_open_file_args,
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


def read_numpy(
    paths: Any,
    *,
    filesystem: Any = None,
    parallelism: int = -1,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    shuffle: Any = None,
    file_extensions: list[str] | None = ["npy"],  # noqa: B006 - Ray's default, never changed
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    allow_pickle: bool = False,
    **numpy_load_args: Any,
) -> Dataset:
    """Read NumPy files, in a column `data`; the first dimension is the rows.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        parallelism: The old name of `override_num_blocks`; -1 leaves it open.
        arrow_open_stream_args: Arguments of the file system's `open_input_stream`.
        partition_filter: Which files to read, by the values in their paths.
        partitioning: How to read values from paths, as columns.
        include_paths: Whether to add the path of the file, as a column `path`.
        ignore_missing_paths: Whether paths with nothing at them are left out.
        shuffle: `"files"` or a `FileShuffleConfig`: read the files in random order.
        file_extensions: Endings of names; other files are left out.
        concurrency: How many tasks read at a time.
        override_num_blocks: How many blocks to read into.
        allow_pickle: Whether arrays of objects may be read, which runs what the file says.
        numpy_load_args: Further arguments of `numpy.load`.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    source = NumpyDatasource(
        paths,
        {"allow_pickle": allow_pickle, **numpy_load_args},
        filesystem=filesystem,
        open_stream_args=arrow_open_stream_args,
        partition_filter=partition_filter,
        partitioning=partitioning,
        include_paths=include_paths,
        ignore_missing_paths=ignore_missing_paths,
        shuffle=shuffle,
        file_extensions=file_extensions,
    )
    return _read_files(source, parallelism, override_num_blocks, concurrency, {})


__all__ = ["read_binary_files", "read_images", "read_numpy"]
