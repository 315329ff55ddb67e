"""Datasets read from what is an array in memory: images, sound, video, NumPy files, and any files as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource.binary import BinaryDatasource
from skate.data.datasource.image import ImageDatasource
from skate.data.datasource.media import AudioDatasource, VideoDatasource
from skate.data.datasource.numpy import NumpyDatasource
from skate.data.reading.arguments import file_arguments, read_from, reader

if TYPE_CHECKING:
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


__all__ = [
    "read_audio",
    "read_binary_files",
    "read_images",
    "read_numpy",
    "read_videos",
]
