"""Datasets read from text: CSV, JSON, plain lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource.csv import CSVDatasource
from skate.data.datasource.json import JSONDatasource
from skate.data.datasource.text import TextDatasource
from skate.data.reading.arguments import HIVE, file_arguments, read_from, reader

if TYPE_CHECKING:
    from skate.data.dataset import Dataset
    from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter

_JSON = [
    "json", "jsonl", "json.gz", "jsonl.gz", "json.br", "jsonl.br", "json.zst", "jsonl.zst", "json.lz4", "jsonl.lz4",
]  # fmt: skip


@reader
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
    partitioning: Partitioning | None = HIVE,
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
    on_bad_rows: str = "error",
    **arrow_csv_args: Any,
) -> Dataset:
    """Read CSV files.

    Args:
        arrow_csv_args: `read_options`, `parse_options` and `convert_options` of `pyarrow.csv`.
        on_bad_rows: What to do with rows that can't be read: `"error"`, `"skip"`, or `"collect"`, which keeps them beside the good
            ones, in a column `_bad_row` that tells path, line, column, text and reason.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left; or, when it is read, a row is bad: the message names file, line and column.
    """
    given = locals()
    source = CSVDatasource(paths, arrow_csv_args, on_bad_rows, **file_arguments(given))
    return read_from(source, given)


@reader
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
    partitioning: Partitioning | None = HIVE,
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
    on_bad_rows: str = "error",
    **arrow_json_args: Any,
) -> Dataset:
    """Read JSON files: an object a line, or one array of objects.

    Args:
        lines: Whether there is an object on each line; otherwise the file's beginning tells.
        arrow_json_args: `read_options` and `parse_options` of `pyarrow.json`.
        on_bad_rows: What to do with rows that can't be read: `"error"`, `"skip"`, or `"collect"`, which keeps them beside the good
            ones, in a column `_bad_row` that tells path, line, column, text and reason.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left; or, when it is read, a line is bad: the message names file, line and column.
    """
    given = locals()
    source = JSONDatasource(paths, lines, arrow_json_args, on_bad_rows, **file_arguments(given))
    return read_from(source, given)


@reader
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
        encoding: How characters are written.
        drop_empty_lines: Whether to leave out empty lines.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """
    given = locals()
    source = TextDatasource(
        paths, drop_empty_lines=drop_empty_lines, encoding=encoding, **file_arguments(given)
    )
    return read_from(source, given)


__all__ = [
    "read_csv",
    "read_json",
    "read_text",
]
