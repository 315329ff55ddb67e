"""Datasets read from files of records: TFRecord, WebDataset, MCAP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource.lerobot import LeRobotDatasource
from skate.data.datasource.mcap import MCAPDatasource, TimeRange
from skate.data.datasource.tfrecords import TFRecordDatasource
from skate.data.datasource.webdataset import WebDatasetDatasource
from skate.data.reading.arguments import file_arguments, read_from, reader

if TYPE_CHECKING:
    from skate.data.dataset import Dataset
    from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter


@reader
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
        tf_schema: Accepted for Ray's programs: the messages tell their types.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    source = TFRecordDatasource(paths, **file_arguments(given))
    return read_from(source, given)


@reader
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
        decoder: True decodes by endings; functions, or a list of them, decode otherwise; None leaves bytes.
        fileselect: Names of files to read, patterns of them, or a function that chooses.
        filerename: Pairs of a pattern and a new name, or a function.
        suffixes: Endings to read, or a function that chooses.
        verbose_open: Accepted for Ray's programs.
        expand_json: Whether the keys of `.json` files become columns.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    source = WebDatasetDatasource(
        paths, decoder, fileselect, filerename, suffixes, expand_json, **file_arguments(given)
    )
    return read_from(source, given)


@reader
def read_mcap(
    paths: Any,
    *,
    topics: Any = None,
    time_range: TimeRange | tuple[int, int] | None = None,
    message_types: Any = None,
    include_metadata: bool = True,
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
    """Read MCAP recordings, a row for each message.

    Args:
        topics: The topics to read; None for all.
        time_range: When the messages were logged: a `TimeRange`, or its start and end in nanoseconds.
        message_types: Names of the messages' schemas to read; None for all.
        include_metadata: Whether to add what the file says of the channel and the schema.

    Raises:
        ImportError: mcap is missing.
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    options = file_arguments(given)
    options["file_extensions"] = file_extensions or ["mcap"]
    source = MCAPDatasource(paths, topics, time_range, message_types, include_metadata, **options)
    return read_from(source, given)


@reader
def read_lerobot(
    root: str | list[str],
    *,
    episodes: list[int] | None = None,
    read_granularity: str = "file",
    filesystem: Any = None,
    frame_tolerance_s: float | None = None,
    delta_timestamps: dict[str, list[float]] | None = None,
    delta_tolerance_s: float = 1e-4,
    storage_options: dict[str, Any] | None = None,
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
    """Read LeRobot datasets of version 3: a row for each frame, with the pictures of all cameras.

    To the dataset's own columns come each camera's picture, the `task` in words, `dataset_index`, and `stats`, the
    dataset's statistics as JSON.

    Args:
        root: The dataset's folder or address, or several of one kind.
        episodes: Numbers of the episodes to read; None for all.
        read_granularity: What a task reads: `file`, all episodes of a file; or `episode`, one.
        frame_tolerance_s: By how many seconds a video's frame may be off; None for half of a frame's time.
        delta_timestamps: For some columns, seconds before and after each row: the column then holds the values at all of
            these times, and a column with `_is_pad` at its end says which of them are beyond the episode.
        delta_tolerance_s: By how many seconds such a time may be off the time of a frame.

    Raises:
        FileNotFoundError: there is no dataset.
        ValueError: an argument is none of its values, or the datasets are not of one kind.
        ImportError: there are videos and PyAV is missing, or images and Pillow is.
    """
    given = locals()
    source = LeRobotDatasource(
        root,
        episodes=episodes,
        read_granularity=read_granularity,
        filesystem=filesystem,
        storage_options=storage_options,
        frame_tolerance_s=frame_tolerance_s,
        delta_timestamps=delta_timestamps,
        delta_tolerance_s=delta_tolerance_s,
    )
    return read_from(source, given, override_num_blocks=override_num_blocks or source.default_num_blocks())


__all__ = [
    "read_lerobot",
    "read_mcap",
    "read_tfrecords",
    "read_webdataset",
]
