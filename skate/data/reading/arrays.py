"""Datasets read from what is an array in memory: images, sound, video, NumPy files, and any files as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource.binary import BinaryDatasource
from skate.data.datasource.image import ImageDatasource
from skate.data.datasource.media import AudioDatasource, VideoDatasource
from skate.data.datasource.numpy import NumpyDatasource
from skate.data.datasource.zarr import ZarrDatasource
from skate.data.reading.arguments import file_arguments, read_from, reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from skate.data.dataset import Dataset
    from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter

_IMAGES = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "gif"]


@reader
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

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    return read_from(BinaryDatasource(paths, **file_arguments(given)), given)


@reader
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
        size: Height and width to resize to.
        mode: The mode to convert to, as Pillow names it.

    Raises:
        ImportError: Pillow is missing.
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    return read_from(ImageDatasource(paths, size, mode, **file_arguments(given)), given)


@reader
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
        allow_pickle: Whether arrays of objects may be read, which runs what the file says.
        numpy_load_args: Further arguments of `numpy.load`.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    load = {"allow_pickle": allow_pickle, **numpy_load_args}
    return read_from(NumpyDatasource(paths, load, **file_arguments(given)), given)


@reader
def read_audio(
    paths: Any,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    ignore_missing_paths: bool = False,
    file_extensions: list[str] | None = AudioDatasource._FILE_EXTENSIONS,
    shuffle: Any = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read audio files, a row for each, with its samples by channel in `amplitude`, and `sample_rate`.

    Raises:
        ImportError: soundfile is missing.
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    return read_from(AudioDatasource(paths, **file_arguments(given)), given)


@reader
def read_videos(
    paths: Any,
    *,
    filesystem: Any = None,
    arrow_open_stream_args: dict[str, Any] | None = None,
    partition_filter: PathPartitionFilter | None = None,
    partitioning: Partitioning | None = None,
    include_paths: bool = False,
    include_timestamps: bool = False,
    fps: int | None = None,
    resize: tuple[int, int] | None = None,
    ignore_missing_paths: bool = False,
    file_extensions: list[str] | None = VideoDatasource._FILE_EXTENSIONS,
    shuffle: Any = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read video files, a row for each frame, in columns `frame` and `frame_index`.

    Args:
        include_timestamps: Whether to add a column `frame_timestamp`: start and end, in seconds.
        fps: About how many frames of each second to keep; None keeps all.
        resize: Height and width to resize to.

    Raises:
        ImportError: PyAV is missing.
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    source = VideoDatasource(paths, include_timestamps, fps, resize, **file_arguments(given))
    return read_from(source, given)


@reader
def read_zarr(
    path: str,
    *,
    filesystem: Any = None,
    chunk_shapes: Sequence[int] | Mapping[str, Sequence[int]] | None = None,
    array_paths: list[str] | None = None,
    allow_full_metadata_scan: bool = False,
    align_axis_0: bool = False,
    overlap: int = 0,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read the arrays of a Zarr store of version 2.

    A row is a chunk of an array: the array's path as `array`, the chunk's place in the grid as `chunk_index`, where it lies as
    `chunk_slices`, a start and a stop on each axis, and the numbers as `chunk`. With `align_axis_0`, a row is the same stretch
    of the first axis of all arrays: `t_start`, `t_stop`, and a column for each array.

    Args:
        path: The store's folder or address.
        chunk_shapes: The shape of the parts to read, on the first axes: one for all arrays, or one by array. Default: the
            store's chunks.
        array_paths: The arrays to read; None for all.
        allow_full_metadata_scan: Whether to look into all folders for arrays, where the store has no list of them.
        align_axis_0: Whether a row is the same stretch of all arrays, and not a chunk of one.
        overlap: By how many items each row's stretch reaches into the next one's; needs `align_axis_0`.

    Raises:
        ImportError: the chunks are encoded in a way that needs numcodecs, and it is missing.
        ValueError: an argument is of a wrong kind or does not fit the arrays, or there are none.
    """
    given = locals()
    source = ZarrDatasource(
        path,
        filesystem=filesystem,
        chunk_shapes=chunk_shapes,
        array_paths=array_paths,
        allow_full_metadata_scan=allow_full_metadata_scan,
        align_axis_0=align_axis_0,
        overlap=overlap,
    )
    return read_from(source, given)


__all__ = [
    "read_audio",
    "read_binary_files",
    "read_images",
    "read_numpy",
    "read_videos",
    "read_zarr",
]
