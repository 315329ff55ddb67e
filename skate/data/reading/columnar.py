"""Datasets read from columnar and record files: ORC, Avro. Parquet, which has more to it, is in `parquet`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource.avro import AvroDatasource
from skate.data.datasource.orc import ORCDatasource
from skate.data.reading.arguments import file_arguments, read_from, reader

if TYPE_CHECKING:
    from skate.data.dataset import Dataset
    from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter


@reader
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

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    return read_from(ORCDatasource(paths, **file_arguments(given)), given)


@reader
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
    """Read Avro files.

    Raises:
        ImportError: fastavro is missing.
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    return read_from(AvroDatasource(paths, **file_arguments(given)), given)


__all__ = [
    "read_avro",
    "read_orc",
]
